/** 3: the cost of the program per new connection, against a program like the kernel's selftest. */
import { compare, inTurn } from "./figures.ts";
import { flood } from "./flood.ts";
import { OneGroup } from "./one_group.ts";
import type { Question } from "./question.ts";
import { RunTimes } from "./run_time.ts";
import { selftest } from "./selftest.ts";
import { Subject } from "./subject.ts";

const ROUNDS = 50;
const PORT = 21_030;

export const question: Question = {
  number: 3,
  name: "syn_selftest",
  title: "a new connection, `--route newest`",
  reference: "the kernel's selftest: cookie, hash, SOCKARRAY select",
  async measure() {
    using _times = new RunTimes();
    // A socket cannot be in a sockmap and in a sockarray.
    await using one = await OneGroup.open(PORT, 2);
    await using other = await OneGroup.open(PORT + 1, 2);
    await using ours = await Subject.ours(one, { route: "newest" });
    await using reference = selftest(other);
    const samples = await inTurn(ROUNDS, {
      ours: () => flood(one.port, () => ours.nsPerSyn()),
      reference: () => flood(other.port, () => reference.nsPerSyn()),
    });
    return [compare(samples.ours, samples.reference, { unit: "ns", atMost: 0.8 })];
  },
};
