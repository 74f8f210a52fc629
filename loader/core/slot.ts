/** Slots, the listeners seen in them, and the policy a plan follows. Pure. */
import type { Migrate, Route, SettingsPolicy } from "./abi.ts";

/** What one slot holds, or held until its listener closed. Times: ms of CLOCK_BOOTTIME. */
export interface Slot {
  readonly slot: number;
  readonly cookie: bigint;
  readonly openedMs: number;
  /** null while it listens. */
  readonly closedMs: number | null;
  /** Digest of its settings; 0n: could not be read. */
  readonly optionsDigest: bigint;
  readonly generation: number;
  /** Settings class, from 1; 0: not known. */
  readonly class: number;
  /** No target, on purpose. */
  readonly drained: boolean;
}

/** A listener as observed now. */
export interface Seen {
  readonly cookie: bigint;
  /** Matters for new ones only. */
  readonly openedMs: number;
  /** Digest of its settings; 0n: could not be read; null: not read this time, as they were. */
  readonly optionsDigest: bigint | null;
}

/** How long, and how many connections, a standby holds when no other listener is left. */
export interface HoldPolicy {
  readonly timeMs: number;
  readonly max: number;
}

export interface Policy {
  readonly migrate: Migrate;
  readonly route: Route;
  /** Where no target has the settings of the source; `prefer` unless given. */
  readonly settings?: SettingsPolicy;
  /** With a standby in the group: new connections are always given to a target explicitly. */
  readonly hold?: HoldPolicy | null;
}
