/** reuseport-migrate as a library: re-exports only. */
export {
  ABI_VERSION,
  HOLD_BUCKETS,
  MIGRATE,
  type Migrate,
  OUTCOMES,
  ROUTE,
  type Route,
  SETTINGS,
  type SettingsPolicy,
  STAGES,
  WAKE,
  type Wake,
} from "./abi.ts";
export type { AdoptOptions } from "./adopted.ts";
export type { AdoptedPort } from "./adoption_codec.ts";
export type { AdoptionStatus } from "./adoptions.ts";
export { adoptablePath, cgroupPath, cgroupText } from "./cgroup.ts";
export { type ChangedPolicy, changePolicy, moves, type PolicyChange } from "./change_policy.ts";
export type { Wakeup } from "./check/wakeup.ts";
export type { Decision } from "./counts.ts";
export { type Detached, type DetachOptions, detach } from "./detach.ts";
export {
  type Drained,
  drain,
  drainedNow,
  emptyStuck,
  type Selector,
  undrain,
} from "./drain.ts";
export * from "./errors.ts";
export { establishedConnections } from "./established.ts";
export type { Filter } from "./filter.ts";
export type { Holds } from "./holds.ts";
export { endpoint, type GroupKey, type Listener, type Owner } from "./listener.ts";
export type { Log, SidecarEvent } from "./log.ts";
export { netnsInode } from "./netns.ts";
export type { KernelMigrations } from "./netstat.ts";
export { notifyService } from "./notify.ts";
export { Observer } from "./observe.ts";
export type { HoldPolicy, Policy } from "./plan.ts";
export { probeWakeup } from "./probe_wakeup.ts";
export type { ReadyCheck } from "./ready.ts";
export { type Released, release } from "./release.ts";
export type { Reloaded } from "./reload.ts";
export { ServerCgroup } from "./server_cgroup.ts";
export type { ServiceOptions } from "./service.ts";
export { Sidecar } from "./sidecar.ts";
export { IDLE_MS, type ServicesOptions, type SidecarOptions } from "./sidecar_options.ts";
export { matchesSpec, parseSpec, type Spec } from "./spec.ts";
export type { GroupStatus, HoldStatus, ListenerStatus, Status } from "./status.ts";
export { readStatus, type StatusOptions, StatusReader } from "./status_reader.ts";
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
export { unitCgroup } from "./unit.ts";
export { libbpfVersion } from "./version.ts";
export { RECONCILE_MS } from "./watch.ts";
