/** What tests use of the loader: re-exports only. The public API is library/index.ts. */

export type { AdoptedPort } from "./adoption/adoption_record.ts";
export type { AdoptionStatus } from "./adoption/adoption_status.ts";
export type { AdoptOptions } from "./adoption/service_adoption.ts";
export {
  ABI_VERSION,
  HOLD_BUCKETS,
  type Migrate,
  OUTCOMES,
  type Route,
  type SettingsPolicy,
  STAGES,
  type Wake,
} from "./core/abi.ts";
export type { GroupKey, Listener, Owner } from "./core/listener.ts";
export type { HoldPolicy, Policy } from "./core/slot.ts";
export { parseSpec, type Spec } from "./core/spec.ts";
export * from "./errors.ts";
export type { Decision } from "./group/counters.ts";
export type { HoldCounts } from "./group/hold_record.ts";
export type { ReadyCheck } from "./hold/ready_check.ts";
export type { CgroupLabels } from "./host/cgroup_label.ts";
export type { Log, SidecarEvent } from "./log.ts";
export type { KernelMigrations } from "./net/kernel_migrations.ts";
export { netnsInode } from "./net/netns_inode.ts";
export type { Filter } from "./observe/coverage.ts";
export { type Detached, type DetachOptions, detach } from "./operate/detach.ts";
export { type Drained, drain, type Selector, undrain } from "./operate/drain.ts";
export { type ChangedPolicy, changePolicy, type PolicyChange } from "./operate/policy.ts";
export { type Released, release } from "./operate/release.ts";
export type { GroupStatus, HoldStatus, ListenerStatus, Status } from "./operate/status.ts";
export { readStatus, StatusReader, type StatusReaderOptions } from "./operate/status_reader.ts";
export type { ServiceOptions } from "./service/service.ts";
export type { Reloaded } from "./service/service_diff.ts";
export { Sidecar } from "./sidecar/sidecar.ts";
export type { ServicesOptions, SidecarOptions } from "./sidecar/sidecar_options.ts";
export {
  FdStore,
  type ListenOptions,
  type PutOptions,
  STORE_LIMITS,
  type StoreCounts,
  type StoredFd,
  type StoredName,
  type StoreLimits,
  type StoreNews,
  type StoreOptions,
  StoreServer,
  type StoreStatus,
  type TakeOptions,
} from "./store/index.ts";
