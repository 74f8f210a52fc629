/** 4: the cost of the program per connection that migrates out of an accept queue. */
import { setTimeout as sleep } from "node:timers/promises";
import { addressBytes } from "../../loader/core/address.ts";
import { START_GAP_MS } from "../../loader/core/generations.ts";
import type { GroupKey } from "../../loader/index.ts";
import { connectTo, openSocket } from "../../loader/net/connect.ts";
import * as libc from "../../loader/sys/libc.ts";
import { until } from "../helpers/until.ts";
import { compare, inTurn } from "./figures.ts";
import { ADDRESS, NETNS, OneGroup } from "./one_group.ts";
import type { Question } from "./question.ts";
import { RunTimes } from "./run_time.ts";
import { selftest } from "./selftest.ts";
import { Subject } from "./subject.ts";

const ROUNDS = 16;
const PORT = 21_040;
const CONNECTIONS = 3_000;

/** Connections to a port of the loopback device, open until disposed. */
class Clients implements Disposable {
  readonly #fds: number[] = [];

  constructor(port: number, count: number) {
    const where = { netns: NETNS, family: "ipv4", address: ADDRESS, ifindex: 0 } as const;
    const key: GroupKey = { ...where, port, v6only: false };
    for (let i = 0; i < count; i++) {
      const fd = openSocket(key);
      this.#fds.push(fd);
      connectTo(fd, key, addressBytes("ipv4", ADDRESS));
    }
  }

  [Symbol.dispose](): void {
    for (const fd of this.#fds.splice(0)) libc.close(fd);
  }
}

/**
 * Returns the nanoseconds per decision when a listener closes and another takes over its queue.
 * @param laterMs how much later the other listener opens
 */
async function nsPerDecision(
  port: number,
  laterMs: number,
  attach: (group: OneGroup) => Subject | Promise<Subject>,
): Promise<number> {
  await using old = await OneGroup.open(port, 1, CONNECTIONS);
  using _clients = new Clients(port, CONNECTIONS);
  await until("all connections are queued", () => old.queued() === CONNECTIONS);
  await sleep(laterMs);
  await using both = await old.join(1);
  await using subject = await attach(both);
  const { runs } = subject;
  const before = runs.read().runCount;
  const ns = await runs.mean(() => old.close());
  const decided = runs.read().runCount - before;
  if (decided !== CONNECTIONS) throw new Error(`${decided} decisions`);
  return ns;
}

export const question: Question = {
  number: 4,
  name: "migrate_decision",
  title: "a migration out of an accept queue",
  reference: "the kernel's selftest: cookie, hash, SOCKARRAY select",
  async measure() {
    using _times = new RunTimes();
    const samples = await inTurn(ROUNDS, {
      // The other listener is of a newer generation then.
      ours: () => nsPerDecision(PORT, START_GAP_MS, (group) => Subject.ours(group, {})),
      reference: () => nsPerDecision(PORT + 1, 0, selftest),
    });
    return [compare(samples.ours, samples.reference, { unit: "ns", atMost: 1 })];
  },
};
