/** Messages of libbpf: kept for the error that follows instead of printed to stderr. */
import koffi from "koffi";
import { libbpf } from "./libbpf_so.ts";

const LIBBPF_DEBUG = 2;
const MAX_MESSAGES = 64;

koffi.proto("int rm_libbpf_print(int level, const char *fmt, void *ap)");
const set_print = libbpf.func("void *libbpf_set_print(rm_libbpf_print *fn)") as (
  fn: bigint | null,
) => unknown;
const vsnprintf = koffi
  .load(null)
  .func("int vsnprintf(_Out_ void *buf, size_t n, const char *fmt, void *ap)") as (
  buf: Buffer,
  n: number,
  fmt: string,
  ap: bigint,
) => number;

const buffer = Buffer.alloc(256 * 1024);
const lines: string[] = [];

const callback = koffi.register((level: number, fmt: string, ap: bigint): number => {
  if (level >= LIBBPF_DEBUG) return 0;
  const n = vsnprintf(buffer, buffer.length, fmt, ap);
  if (n > 0) lines.push(buffer.toString("utf8", 0, Math.min(n, buffer.length - 1)).trimEnd());
  if (lines.length > MAX_MESSAGES) lines.shift();
  return 0;
}, "rm_libbpf_print *");

set_print(callback);

/** Returns the messages since the last call, oldest first, and forgets them. */
export function takeMessages(): string {
  return lines.splice(0).join("\n");
}
