/** Slots, the listeners seen in them, and the policy a plan follows. Pure. */
import type { Migrate, Route, SettingsPolicy } from "./abi.ts";

/** The listener of a slot, or its last one. Times in ms of CLOCK_BOOTTIME. */
export interface Slot {
  readonly slot: number;
  readonly cookie: bigint;
  readonly openedMs: number;
  /** null while it listens. */
  readonly closedMs: number | null;
  /** Digest of its socket options; 0n: they could not be read. */
  readonly optionsDigest: bigint;
  readonly generation: number;
  /** Settings class, from 1; 0: unknown. */
  readonly class: number;
  /** The CPU that it prefers; less than 0: none. */
  readonly incomingCpu: number;
  /** Drained by command, so not a target. */
  readonly drained: boolean;
}

/** Set in the digest of options that decide which peers are admitted. */
export const GUARDS_BIT = 1n;

/** Returns whether a listener with options of this digest admits only some peers. */
export const guardsPeers = (optionsDigest: bigint): boolean => (optionsDigest & GUARDS_BIT) !== 0n;

/** A listener in the snapshot. */
export interface Seen {
  readonly cookie: bigint;
  /** Used for new listeners only. */
  readonly openedMs: number;
  /** Digest of its socket options; 0n: they could not be read; null: not read, so unchanged. */
  readonly optionsDigest: bigint | null;
  /** As {@link Slot.incomingCpu}. */
  readonly incomingCpu: number;
}

/** The longest time, and the most connections, of a hold. */
export interface HoldPolicy {
  readonly timeMs: number;
  readonly max: number;
}

export interface Policy {
  readonly migrate: Migrate;
  readonly route: Route;
  /** Treatment of connections without a compatible target; `prefer` by default. */
  readonly settings?: SettingsPolicy;
  /** null: no standby. With one, the program selects a target for every new connection. */
  readonly hold?: HoldPolicy | null;
}
