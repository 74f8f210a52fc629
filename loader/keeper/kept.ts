/** Messages to the keeper: the twin of keeper.h. tests/ffi/kept.test.ts compares them. Pure. */
import { oneOf, Struct, u32, u64 } from "../core/struct.ts";

/** In the order of enum rm_keep_kind. */
export const KEEP_KINDS = ["keep", "drop"] as const;
/** Name of the process (comm). */
export const KEEPER_COMM = "rm-keeper";

export const KEEP_REQUEST = new Struct({
  cookie: u64,
  kind: oneOf(u32, KEEP_KINDS),
  patience_ms: u32,
});
