/**
 * The store's wire format, version 1, at home here and described in docs/STORE.md. One SEQPACKET
 * message is one request, and one is its reply: a JSON object, and file descriptors beside it. Pure.
 */
import { UsageError } from "../errors.ts";

export const VERSION = 1;
/** A request is no longer than this, bytes; a reply may be as long as a message can. */
export const MAX_REQUEST = 4096;
export const MAX_REPLY = 128 * 1024;
/** A list reply that is longer is continued in the next one, bytes. */
export const PAGE = 32 * 1024;
/** File descriptors of one message, and so of one name (the kernel's SCM_MAX_FD). */
export const MAX_FDS = 253;
export const MIN_TIMEOUT_MS = 1;
export const MAX_TIMEOUT_MS = 3_600_000;

/** Why the store refuses: `reason` of a reply, and label of a metric. */
export const REASONS = [
  "peer", // another user's process
  "clients", // there are as many clients as may be
  "malformed", // not this format
  "truncated", // longer than a request may be, or not all of its descriptors could be taken
  "slow", // it does not read its replies
  "names", // there are as many names as may be
  "fds", // there are as many file descriptors as may be
  "held", // another process that is alive deposited that name
  "taken", // another process that is alive has taken it
  "absent", // there is nothing of that name
] as const;
export type Reason = (typeof REASONS)[number];

/** After these the client is closed. */
export const FATAL: ReadonlySet<Reason> = new Set([
  "peer",
  "clients",
  "malformed",
  "truncated",
  "slow",
]);

export interface PutRequest {
  readonly op: "put";
  readonly name: string;
  /** null: the store's own. */
  readonly timeoutMs: number | null;
  readonly shared: boolean;
  /** To what is there, instead of in its place. */
  readonly add: boolean;
  /** The depositor uses them, as if it had taken them with `keep`. */
  readonly taken: boolean;
}
export interface TakeRequest {
  readonly op: "take";
  readonly name: string;
  /** The store keeps them too, and the taker is their depositor from now on. */
  readonly keep: boolean;
  /** A new timeout; null: as it is. */
  readonly timeoutMs: number | null;
}
export type StoreRequest =
  | PutRequest
  | TakeRequest
  /** `confirm`: what was taken has arrived. */
  | { readonly op: "confirm" | "drop"; readonly name: string }
  | { readonly op: "list"; readonly after: string };

/** One file descriptor in a list. */
export interface StoredFd {
  /** `tcp`, `udp`, `unix-stream`, ..., `file`, `pipe`: see describe.ts. */
  readonly type: string;
  readonly listening: boolean;
  readonly address: string;
  /** Connections in the accept queue of a TCP listener. */
  readonly queue: number | null;
}

/** One name in a list. */
export interface StoredName {
  readonly name: string;
  readonly fds: readonly StoredFd[];
  readonly shared: boolean;
  readonly timeoutMs: number;
  /** Pids of those who are alive and deposited it, or took it. */
  readonly holders: readonly number[];
  readonly takers: readonly number[];
  readonly ageMs: number;
  /** Until it is closed; null: somebody holds it. */
  readonly leftMs: number | null;
}

export type StoreReply =
  /** How many were put, taken, closed; whether what was taken is shared. */
  | { readonly ok: true; readonly fds: number; readonly shared?: boolean }
  | { readonly ok: true; readonly names: readonly StoredName[]; readonly next: string | null }
  | { readonly ok: false; readonly reason: Reason; readonly error: string };

/**
 * What the store says unasked to those who hold a name, when another client dropped it or took it
 * for good: whoever keeps a descriptor for the store's sake closes it.
 */
export interface Gone {
  readonly event: "gone";
  readonly name: string;
}

/** A message that is not of this format; the text says what is wrong. */
export class MalformedError extends Error {
  override name = "MalformedError";
}

/** As LISTEN_FDNAMES and systemd's FDNAME= allow, but for what separates names elsewhere: space, comma, semicolon, equals sign. */
const NAME = /^[!-~]{1,128}$/;
const SEPARATOR = /[:,;=]/;

export function isName(text: string): boolean {
  return NAME.test(text) && !SEPARATOR.test(text);
}

/** @throws UsageError */
export function requireName(text: string): string {
  if (isName(text)) return text;
  throw new UsageError(
    `'${text}' is not a name: write 1 to 128 printable ASCII characters but space : , ; =`,
  );
}

/** @throws UsageError */
export function requireTimeout(timeoutMs: number): number {
  if (isTimeout(timeoutMs)) return timeoutMs;
  throw new UsageError(
    `a timeout must be ${MIN_TIMEOUT_MS} to ${MAX_TIMEOUT_MS} whole ms, not ${timeoutMs}`,
  );
}

export function isTimeout(value: unknown): value is number {
  return (
    Number.isInteger(value) && Number(value) >= MIN_TIMEOUT_MS && Number(value) <= MAX_TIMEOUT_MS
  );
}

export function encode(message: StoreRequest | StoreReply | Gone): Buffer {
  return Buffer.from(JSON.stringify({ v: VERSION, ...message }));
}

type Fields = Readonly<Record<string, unknown>>;

const KEYS: Readonly<Record<StoreRequest["op"], readonly string[]>> = {
  put: ["name", "timeoutMs", "shared", "add", "taken"],
  take: ["name", "keep", "timeoutMs"],
  confirm: ["name"],
  drop: ["name"],
  list: ["after"],
};

function decode(data: Buffer): Fields {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(data));
  } catch {
    throw new MalformedError("it is not JSON");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new MalformedError("it is not a JSON object");
  }
  const { v, ...fields } = value as Fields;
  if (v !== VERSION) throw new MalformedError(`its version is not ${VERSION}`);
  return fields;
}

/** A request of `fds` descriptors. @throws MalformedError */
export function decodeRequest(data: Buffer, fds: number): StoreRequest {
  const fields = decode(data);
  const { op } = fields;
  if (typeof op !== "string" || !Object.hasOwn(KEYS, op)) throw new MalformedError("it has no op");
  const keys = KEYS[op as StoreRequest["op"]];
  const unknown = Object.keys(fields).find((key) => key !== "op" && !keys.includes(key));
  if (unknown !== undefined) throw new MalformedError(`${op} has no '${unknown}'`);
  if (op === "put" ? fds === 0 : fds > 0) {
    throw new MalformedError(`${op} with ${fds} file descriptors`);
  }
  if (op === "list") return { op, after: text(fields, "after") };
  const name = text(fields, "name");
  if (!isName(name)) throw new MalformedError("its name is not one");
  if (op === "put") {
    const shared = flag(fields, "shared");
    const [add, taken] = [flag(fields, "add"), flag(fields, "taken")];
    return { op, name, timeoutMs: timeout(fields), shared, add, taken };
  }
  if (op === "take") return { op, name, keep: flag(fields, "keep"), timeoutMs: timeout(fields) };
  return { op: op as "confirm" | "drop", name };
}

/** @throws MalformedError */
export function decodeReply(data: Buffer): StoreReply {
  const fields = decode(data);
  const { ok, fds, shared, names, reason, error, next } = fields;
  if (ok === true && Number.isInteger(fds))
    return { ok, fds: Number(fds), shared: shared === true };
  if (ok === true && Array.isArray(names)) {
    return { ok, names, next: typeof next === "string" ? next : null };
  }
  if (ok === false && REASONS.includes(reason as Reason)) {
    return { ok, reason: reason as Reason, error: String(error) };
  }
  throw new MalformedError("it is no reply");
}

/** The name of a {@link Gone}; null: it is something else. */
export function goneName(data: Buffer): string | null {
  try {
    const { event, name } = decode(data);
    return event === "gone" && typeof name === "string" ? name : null;
  } catch {
    return null;
  }
}

function text(fields: Fields, key: string): string {
  const value = fields[key] ?? "";
  if (typeof value !== "string") throw new MalformedError(`its '${key}' is not a string`);
  return value;
}

function flag(fields: Fields, key: string): boolean {
  const value = fields[key] ?? false;
  if (typeof value !== "boolean") throw new MalformedError(`its '${key}' is not true or false`);
  return value;
}

function timeout(fields: Fields): number | null {
  const value = fields["timeoutMs"] ?? null;
  if (value !== null && !isTimeout(value)) {
    throw new MalformedError(`its 'timeoutMs' is not from ${MIN_TIMEOUT_MS} to ${MAX_TIMEOUT_MS}`);
  }
  return value;
}
