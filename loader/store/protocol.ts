/**
 * The store's wire format, version 1, described in docs/STORE.md. A request is one SEQPACKET
 * message, and so is its reply: a JSON object, with file descriptors in SCM_RIGHTS. Pure.
 */
import { UsageError } from "../errors.ts";
import { printable } from "../printable.ts";
import { isStoredName, type StoredName } from "./stored_name.ts";

const VERSION = 1;
/** Longest request, bytes; a reply may be as long as a message can be. */
export const MAX_REQUEST = 4096;
/** A list continues in the next reply once this one exceeds the limit, bytes. */
export const PAGE = 32 * 1024;
/** Most file descriptors of one message, and so of one name (the kernel's SCM_MAX_FD). */
export const MAX_FDS = 253;
export const MIN_TIMEOUT_MS = 1;
export const MAX_TIMEOUT_MS = 3_600_000;

/** Reasons of refusals: `reason` of a reply, and label of a metric. */
export const REASONS = [
  "peer", // the client runs as another user
  "clients", // the store has its limit of clients
  "malformed", // the request violates the format
  "truncated", // the request is too long, or the kernel dropped some of its descriptors
  "slow", // the client does not read its replies
  "names", // the store has its limit of names
  "fds", // the store or the name has its limit of file descriptors
  "held", // another running process deposited the name
  "taken", // another running process took the name
  "absent", // the store does not have the name
] as const;
/** Why a store refused a request. */
export type Reason = (typeof REASONS)[number];

/** The store closes the client's connection after these. */
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
  /** Timeout of the name, ms, or null for the store's default. */
  readonly timeoutMs: number | null;
  readonly shared: boolean;
  /** Adds to the name instead of replacing it. */
  readonly add: boolean;
  /** The depositor uses the descriptors, as if it had taken them with `keep`. */
  readonly taken: boolean;
}
export interface TakeRequest {
  readonly op: "take";
  readonly name: string;
  /** The store keeps the descriptors, too, and the taker becomes their depositor. */
  readonly keep: boolean;
  /** A new timeout, ms, or null for no change. */
  readonly timeoutMs: number | null;
}
export type StoreRequest =
  | PutRequest
  | TakeRequest
  /** `confirm`: the taken descriptors have arrived. */
  | { readonly op: "confirm" | "drop"; readonly name: string }
  | { readonly op: "list"; readonly after: string };

export type StoreReply =
  /** How many descriptors were put, taken or closed; whether those taken are shared. */
  | { readonly ok: true; readonly fds: number; readonly shared?: boolean }
  | { readonly ok: true; readonly names: readonly StoredName[]; readonly next: string | null }
  | { readonly ok: false; readonly reason: Reason; readonly error: string };

/**
 * Sent to the holders of a name when another client dropped it or took it for good: they close
 * the duplicates that they keep for a restart of the store.
 */
interface Gone {
  readonly event: "gone";
  readonly name: string;
}

/** A message that violates the format. */
export class MalformedError extends Error {
  override name = "MalformedError";
}

/**
 * LISTEN_FDNAMES and FDNAME= (sd_pid_notify_with_fds(3)) allow printable ASCII except colons. The
 * other separators are those of this program's command line and of its descriptor names in systemd.
 */
const NAME = /^[!-~]{1,128}$/;
const SEPARATOR = /[:,;=]/;

export function isName(text: string): boolean {
  return NAME.test(text) && !SEPARATOR.test(text);
}

/** @throws UsageError */
export function requireName(text: string): string {
  if (isName(text)) return text;
  throw new UsageError(
    `'${text}' is not a name: use 1 to 128 printable ASCII characters, except space : , ; =`,
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

/**
 * Decodes a request.
 * @param fds number of its file descriptors
 * @throws MalformedError
 */
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
  if (!isName(name)) throw new MalformedError("its name is invalid");
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
  if (ok === true && Array.isArray(names) && names.every(isStoredName)) {
    return { ok, names, next: typeof next === "string" ? next : null };
  }
  if (ok === false && REASONS.includes(reason as Reason)) {
    return { ok, reason: reason as Reason, error: printable(String(error)) };
  }
  throw new MalformedError("it is not a reply");
}

/** Returns the name of an event `gone`, or null for any other message. */
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
