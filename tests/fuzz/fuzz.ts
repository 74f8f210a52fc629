/**
 * Runs one subject with many random inputs. FUZZ_SEED, FUZZ_COUNT and FUZZ_INDEX (that input only)
 * set what is run; a failing input is shrunk, and printed with all three.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { Random } from "../helpers/random.ts";
import { Watchdog } from "./watchdog.ts";

const number = (name: string): number | undefined => {
  const text = process.env[name];
  return text === undefined || text === "" ? undefined : Number(text);
};

const SEED = number("FUZZ_SEED") ?? Math.floor(Math.random() * 2 ** 32);
const COUNT = number("FUZZ_COUNT") ?? 1_000;
const INDEX = number("FUZZ_INDEX");
/** From this many inputs on, every outcome of a subject must have been reached. */
const ENOUGH = 1_000;
/** Most inputs tried to find a smaller one that fails as well. */
const SHRINK_TRIES = 400;

/**
 * Errors that no caller sees, such as of a server's callback. They would end the process; the test
 * runner only mentions them.
 */
const unhandled: unknown[] = [];
for (const event of ["unhandledRejection", "uncaughtException"]) {
  process.on(event, (error) => unhandled.push(error));
}

export interface Subject<T, Outcome extends string> {
  make(random: Random): T;
  /** Returns the outcome, or throws if it is none of those allowed. */
  check(input: T): Outcome | Promise<Outcome>;
  /** Every allowed outcome. A subject that never reaches one of them does not test it. */
  readonly outcomes: readonly Outcome[];
  /** One input for this many of FUZZ_COUNT, if an input takes long; default: 1. */
  readonly oneFor?: number;
  /** Whether parts of an input may be left out; false if a check depends on earlier inputs. */
  readonly shrinks?: boolean;
  /** Describes an input; default: util.inspect(). */
  show?(input: T): string;
}

/** Adds a test of a subject. */
export function fuzz<T, O extends string>(name: string, subject: Subject<T, O>): void {
  const count = Math.max(1, Math.floor(COUNT / (subject.oneFor ?? 1)));
  test(`${name}: seed ${SEED}, ${INDEX === undefined ? `${count} inputs` : `input ${INDEX}`}`, async (t) => {
    using watchdog = new Watchdog(name, SEED);
    const reached = new Map<O, number>();
    const [from, to] = INDEX === undefined ? [0, count] : [INDEX, INDEX + 1];
    for (let index = from; index < to; index++) {
      watchdog.begin(index);
      const outcome = await checked(name, subject, index);
      reached.set(outcome, (reached.get(outcome) ?? 0) + 1);
    }
    t.diagnostic(`${name}: ${[...reached].map(([what, n]) => `${n} ${what}`).join(", ")}`);
    if (INDEX !== undefined || count < ENOUGH) return;
    const never = subject.outcomes.filter((outcome) => !reached.has(outcome));
    assert.deepEqual(never, [], `${name}: no input had these outcomes`);
  });
}

async function checked<T, O extends string>(
  name: string,
  subject: Subject<T, O>,
  index: number,
): Promise<O> {
  const input = subject.make(new Random(SEED, index));
  const failed = await failure(subject, input);
  if ("outcome" in failed) return failed.outcome;
  const smaller = subject.shrinks === false ? null : await shrunk(subject, input);
  const { input: last, error } = smaller ?? { input, error: failed.error };
  const show = subject.show ?? ((it: T) => inspect(it, { depth: 8, maxStringLength: 2_000 }));
  throw new Error(
    `${name}: FUZZ_SEED=${SEED} FUZZ_INDEX=${index}${smaller ? ", shrunk" : ""}: ${show(last)}\n${
      error instanceof Error ? error.stack : String(error)
    }`,
  );
}

async function failure<T, O extends string>(
  subject: Subject<T, O>,
  input: T,
): Promise<{ readonly outcome: O } | { readonly error: unknown }> {
  try {
    const outcome = await subject.check(input);
    const [error] = unhandled.splice(0);
    if (error) throw error;
    assert.ok(subject.outcomes.includes(outcome), `an outcome that is not allowed: ${outcome}`);
    return { outcome };
  } catch (error) {
    return { error };
  }
}

/** Leaves out ever smaller parts of a text, of bytes, or of a list, while it fails. */
async function shrunk<T, O extends string>(subject: Subject<T, O>, input: T) {
  let best: { input: T; error: unknown } | null = null;
  let now = input;
  let tries = 0;
  const length = () => (isSequence(now) ? now.length : 0);
  for (let size = Math.ceil(length() / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < length() && tries < SHRINK_TRIES; tries++) {
      const part = without(now, at, size);
      const failed = await failure(subject, part);
      if ("error" in failed) {
        now = part;
        best = { input: part, error: failed.error };
      } else at += size;
    }
  }
  return best;
}

function isSequence(input: unknown): input is string | Buffer | unknown[] {
  return typeof input === "string" || Buffer.isBuffer(input) || Array.isArray(input);
}

function without<T>(input: T, at: number, size: number): T {
  if (typeof input === "string") return (input.slice(0, at) + input.slice(at + size)) as T;
  if (Buffer.isBuffer(input)) {
    return Buffer.concat([input.subarray(0, at), input.subarray(at + size)]) as T;
  }
  if (Array.isArray(input)) return [...input.slice(0, at), ...input.slice(at + size)] as T;
  return input;
}
