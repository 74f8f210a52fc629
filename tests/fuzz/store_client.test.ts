/** A client whose store says anything: it ends in a result or in one of our errors. */
import assert from "node:assert/strict";
import { after } from "node:test";
import { exitCode } from "../../cli/process/exit.ts";
import { StoreGoneError } from "../../loader/errors.ts";
import { FdStore } from "../../loader/store/fd_store.ts";
import * as libc from "../../loader/sys/libc.ts";
import { type ImpostorReply, ImpostorStore } from "../helpers/product/impostor_store.ts";
import type { Random } from "../helpers/random.ts";
import { until } from "../helpers/until.ts";
import { Account, deposit, dir, messageOf } from "./deposits.ts";
import { fuzz } from "./fuzz.ts";
import { replyText } from "./store_grammar.ts";

const impostor = new ImpostorStore(dir.file("impostor.sock"));
after(() => impostor[Symbol.dispose]());
const account = new Account();

/** What a client asks, and the replies that are right. */
const VERBS: Readonly<
  Record<string, { ask(store: FdStore): Promise<unknown>; readonly right: readonly string[] }>
> = {
  list: { ask: (store) => store.list(), right: ['"names":[],"next":null'] },
  drop: { ask: (store) => store.drop("web"), right: ['"fds":3'] },
  put: { ask: (store) => store.put("web", [deposit]), right: ['"fds":1'] },
  take: { ask: (store) => took(store, false), right: ['"fds":2', '"fds":2'] },
  keep: { ask: (store) => took(store, true), right: ['"fds":2,"shared":false'] },
};

async function took(store: FdStore, keep: boolean): Promise<void> {
  for (const fd of (await store.take("web", { keep })) ?? []) libc.close(fd);
}

/** Returns the replies to a verb: right ones, or anything. */
function repliesTo(random: Random, verb: string): ImpostorReply[] {
  const some = (count: number) => Array.from({ length: count }, () => deposit);
  const anything = () => ({
    data: messageOf(random, replyText(random)),
    fds: some(random.pick([0, 0, 1, 2])),
    more: random.oneIn(9),
  });
  const isTake = verb === "take" || verb === "keep";
  const all = (VERBS[verb]?.right ?? []).map((text, i) => {
    const data = Buffer.from(`{"v":1,"ok":true,${text}}`);
    return random.oneIn(5) ? anything() : { data, fds: some(isTake && i === 0 ? 2 : 0) };
  });
  return random.oneIn(9) ? [anything(), ...all] : all;
}

fuzz("a client of the store", {
  make(random) {
    const names = Object.keys(VERBS);
    const verbs = Array.from({ length: 1 + random.below(3) }, () => random.pick(names));
    return { verbs, replies: verbs.flatMap((verb) => repliesTo(random, verb)) };
  },
  outcomes: ["done", "refused"],
  shrinks: false,
  async check({ replies, verbs }): Promise<"done" | "refused"> {
    impostor.replies = [...replies];
    let outcome: "done" | "refused" = "done";
    {
      using store = await FdStore.connect(impostor.path);
      for (const verb of verbs) {
        try {
          await VERBS[verb]?.ask(store);
        } catch (error) {
          const isOurs = error instanceof StoreGoneError || exitCode(error) !== 1;
          assert.ok(isOurs, `not one of our errors: ${(error as Error).stack}`);
          outcome = "refused";
        }
      }
    }
    await account.add(async () => {
      await until("every client has left", () => impostor.clients === 0);
    });
    return outcome;
  },
});
