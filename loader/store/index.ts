/**
 * The fd store: re-exports only. An entry of its own, because it must load without libbpf.
 * @module reuseport-migrate/store
 */
export { hasCode, NoMatchError, StoreGoneError, StoreRefusedError } from "../errors.ts";
export type { ListenOptions } from "./client_listen.ts";
export {
  FdStore,
  type PutOptions,
  type StoreNews,
  type TakeOptions,
} from "./fd_store.ts";
export { STORE_LIMITS, type StoreLimits } from "./limits.ts";
export type { Reason } from "./protocol.ts";
export { type StoreOptions, StoreServer, type StoreStatus } from "./server.ts";
export type { StoreCounts } from "./store.ts";
export type { StoredFd, StoredName } from "./stored_name.ts";
