/**
 * reuseport-migrate as a library: re-exports only. What is here is public (docs/LIBRARY.md).
 * @module reuseport-migrate
 */
export type {
  AdoptionReport,
  DecisionReport,
  GroupIdentity,
  GroupReport,
  HoldReport,
  HoldsReport,
  ListenerReport,
  OwnerReport,
  StatusReport,
  UnmanagedReport,
} from "../cli/output/status_report.ts";
export {
  AbiMismatchError,
  AbsentError,
  AlreadyManagedError,
  BudgetError,
  ConflictError,
  FilterLockedError,
  ForeignProgramError,
  HungError,
  LockedError,
  NoMatchError,
  NotSupportedError,
  PermissionError,
  StandbyError,
  SysError,
  UsageError,
  VerifierError,
} from "../loader/errors.ts";
export type { Log, SidecarEvent } from "../loader/log.ts";
export { type Attachment, attach } from "./attach.ts";
export type { AttachOptions, Duration } from "./options.ts";
export { type StatusOptions, status } from "./status.ts";
