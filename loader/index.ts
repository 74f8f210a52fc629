/** reuseport-migrate as a library: re-exports only. */
export {
  ABI_VERSION,
  HOLD_BUCKETS,
  MIGRATE,
  type Migrate,
  OUTCOMES,
  ROUTE,
  type Route,
  STAGES,
} from "./abi.ts";
export type { AdoptOptions } from "./adopted.ts";
export type { AdoptedPort } from "./adoption_codec.ts";
export type { AdoptionStatus } from "./adoptions.ts";
export { adoptablePath, cgroupPath } from "./cgroup.ts";
export type { Decision } from "./codec.ts";
export { type Detached, type DetachOptions, detach } from "./detach.ts";
export * from "./errors.ts";
export { establishedConnections } from "./established.ts";
export type { Filter } from "./filter.ts";
export type { Holds } from "./holds.ts";
export { endpoint, type GroupKey, type Listener, type Owner } from "./listener.ts";
export type { Log, SidecarEvent } from "./log.ts";
export { type KernelMigrations, netnsInode } from "./netns.ts";
export { notifyService } from "./notify.ts";
export type { HoldPolicy, Policy, Role } from "./plan.ts";
export type { ReadyCheck } from "./ready.ts";
export { type Released, release } from "./release.ts";
export { ServerCgroup } from "./server_cgroup.ts";
export { IDLE_MS, Sidecar, type SidecarOptions } from "./sidecar.ts";
export { matchesSpec, parseSpec, type Spec } from "./spec.ts";
export {
  type GroupStatus,
  type HoldStatus,
  type ListenerStatus,
  readStatus,
  type Status,
} from "./status.ts";
export {
  FdStore,
  type PutOptions,
  type StoreNews,
  type TakeOptions,
} from "./store/fd_store.ts";
export { STORE_LIMITS, type StoreLimits } from "./store/limits.ts";
export type { ListenOptions } from "./store/listen.ts";
export { type StoreOptions, StoreServer, type StoreStatus } from "./store/server.ts";
export type { StoreCounts } from "./store/store.ts";
export type { StoredFd, StoredName } from "./store/wire.ts";
export { unitCgroup } from "./unit.ts";
export { libbpfVersion } from "./version.ts";
export { RECONCILE_MS } from "./watch.ts";
