/** What a list of the store says of a name, and whether a value is that. Pure. */
import { printable } from "../printable.ts";

/** One file descriptor in a list. */
export interface StoredFd {
  /** `tcp`, `udp`, `unix-stream`, ..., `file`, `pipe`: see describe.ts. */
  readonly type: string;
  /** It is a listener. */
  readonly listening: boolean;
  /** Its address, or the path of a file. */
  readonly address: string;
  /** Connections in the accept queue of a TCP listener; null for all other types. */
  readonly queue: number | null;
}

/** One name in a list. */
export interface StoredName {
  /** 1 to 128 printable ASCII characters. */
  readonly name: string;
  /** Its descriptors, in the order in which they were put. */
  readonly fds: readonly StoredFd[];
  /** Any number of processes may take it. */
  readonly shared: boolean;
  /** How long it is kept after its last holder ended, ms. */
  readonly timeoutMs: number;
  /** Pids of the connected processes that deposited the name, or took it with `keep`. */
  readonly holders: readonly number[];
  /** Pids of the connected processes that took the name. */
  readonly takers: readonly number[];
  /** Time since the last put, ms. */
  readonly ageMs: number;
  /** Time until the name expires, ms, or null while a process holds it. */
  readonly leftMs: number | null;
}

type Check = (value: unknown) => boolean;

/** Text that can be shown: the store has escaped the rest. */
const isText: Check = (value) => typeof value === "string" && printable(value) === value;
const isFlag: Check = (value) => typeof value === "boolean";
/** JSON has no other one, though 1e999 is read as Infinity. */
const isNumber: Check = (value) => Number.isFinite(value);
const orNull =
  (check: Check): Check =>
  (value) =>
    value === null || check(value);
const listOf =
  (check: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(check);

/** Returns a check that a value is an object with these members; it may have more. */
function objectOf<T>(members: Readonly<Record<keyof T, Check>>): (value: unknown) => value is T {
  return (value): value is T => {
    if (typeof value !== "object" || value === null) return false;
    const fields = value as Readonly<Record<string, unknown>>;
    return Object.entries<Check>(members).every(([key, check]) => check(fields[key]));
  };
}

const isStoredFd = objectOf<StoredFd>({
  type: isText,
  listening: isFlag,
  address: isText,
  queue: orNull(isNumber),
});

export const isStoredName = objectOf<StoredName>({
  name: isText,
  fds: listOf(isStoredFd),
  shared: isFlag,
  timeoutMs: isNumber,
  holders: listOf(isNumber),
  takers: listOf(isNumber),
  ageMs: isNumber,
  leftMs: orNull(isNumber),
});
