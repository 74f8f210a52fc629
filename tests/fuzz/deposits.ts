/** Deposits of a fuzzed store, and an account of the file descriptors of this process. */
import assert from "node:assert/strict";
import { closeSync, openSync } from "node:fs";
import { after } from "node:test";
import { TempDir } from "../helpers/host/child.ts";
import { openFds } from "../helpers/host/fds.ts";
import type { Random } from "../helpers/random.ts";
import { mutateText } from "./mutate.ts";
import { STORE_TOKENS } from "./store_grammar.ts";

export const dir = new TempDir();
/** What is deposited: no other descriptor of this process has this target. */
export const deposit = openSync(dir.file("deposit"), "w");
after(() => {
  closeSync(deposit);
  dir[Symbol.dispose]();
});

/** Returns the bytes of a message of this text; sometimes other, too many, or none. */
export function messageOf(random: Random, text: string): Buffer {
  const changed = random.oneIn(4) ? mutateText(random, text, STORE_TOKENS) : text;
  if (!random.oneIn(3)) return Buffer.from(changed);
  return random.pick([
    () => Buffer.from(changed),
    () => Buffer.from(changed.padEnd(4_096 + random.below(3))),
    () => Buffer.alloc(0),
    () => random.bytes(1 + random.below(100)),
    () => Buffer.alloc(random.below(120_000), changed || " "),
  ])();
}

/** Descriptors are compared each time that this many inputs were made. */
const INPUTS = 500;

export class Account {
  #inputs = 0;
  #first: readonly string[] | null = null;

  /** Counts an input. Now and then waits for `quiet`, and compares with the first time. */
  async add(quiet: () => Promise<void>): Promise<void> {
    if (++this.#inputs % INPUTS !== 0) return;
    await quiet();
    const now = openFds();
    const deposits = now.filter((it) => it.endsWith("/deposit"));
    assert.equal(deposits.length, 1, "deposits are left open");
    this.#first ??= now;
    const both = `${this.#first.join("\n")}\nthen:\n${now.join("\n")}`;
    assert.ok(now.length <= this.#first.length, both);
  }
}
