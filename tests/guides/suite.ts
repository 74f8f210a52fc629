/**
 * A guide under load: what it does without the sidecar loses connections, and with the sidecar it
 * loses none.
 */
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import {
  assertNoneLost,
  assertSomeLost,
  reloadUnderLoad,
  report,
  rowsOf,
} from "../e2e/scenario.ts";
import { visit } from "../helpers/load/client.ts";
import { until } from "../helpers/until.ts";
import { Guide } from "./guide.ts";

export interface GuideSuite {
  /** Its file in docs/guides, without `.md`. */
  readonly name: string;
  readonly port: number;
  /** Commands before the guide that make the server answer with the path of a request. */
  readonly before?: string;
  /** The sections that start the server, in their order. */
  readonly start: readonly string[];
  /** The section that attaches; it may start the server. */
  readonly attach: string;
  /** What is printed once a section has had its effect, if that is after its last command. */
  readonly effect?: Readonly<Record<string, RegExp>>;
  /** Sections that are done once under load. */
  readonly underLoad: readonly string[];
  /** What a reader without us does instead of a section, if that is not the same without `run`. */
  readonly without?: Readonly<Record<string, string>>;
}

/**
 * The longest time that handshakes are kept half open. `run` waits for those on an old listener that
 * stays, for longer than a client has patience.
 */
const HELD_MS = 8_000;

export function guideSuite(suite: GuideSuite): void {
  const { name, port, underLoad } = suite;
  const serves = async () => (await visit({ port, path: "/ready" })) === "ok";

  const begin = async (guarded: boolean): Promise<Guide> => {
    const guide = new Guide(name, guarded);
    try {
      await guide.shell(suite.before ?? ":");
      for (const section of suite.start) await guide.section(section);
      if (guarded) await guide.attach(suite.attach);
      else await guide.shell(suite.without?.[suite.attach] ?? ":");
      await until(`it serves:\n${guide.output}`, serves);
      return guide;
    } catch (error) {
      await guide[Symbol.asyncDispose]();
      throw error;
    }
  };

  const measure = async (t: TestContext, guide: Guide, section: string, instead?: string) => {
    const done = async () => {
      await (instead === undefined ? guide.section(section) : guide.shell(instead));
      const effect = instead === undefined ? suite.effect?.[section] : undefined;
      if (effect) await until(`${effect} is printed`, () => effect.test(guide.output));
      await until("it serves again", serves);
    };
    let all = Promise.resolve();
    const reload = () => {
      all = done();
      return Promise.race([all, sleep(HELD_MS, undefined, { ref: false })]);
    };
    const measured = await reloadUnderLoad({ port, reloads: 1, reload });
    await all;
    report(t, rowsOf(section, measured));
    return measured;
  };

  for (const section of underLoad) {
    test(`${name}.md: '${section}' without the sidecar loses connections`, async (t) => {
      await using guide = await begin(false);
      assertSomeLost(await measure(t, guide, section, suite.without?.[section]));
    });
  }

  test(`${name}.md, done under load, loses no connection`, async (t) => {
    await using guide = await begin(true);
    for (const section of underLoad) assertNoneLost(await measure(t, guide, section));
    t.diagnostic(guide.output);
  });
}
