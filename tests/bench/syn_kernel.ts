/** 1: what the program costs a new connection under `--route kernel`. */
import { compare, inTurn } from "./figures.ts";
import { flood } from "./flood.ts";
import { OneGroup } from "./one_group.ts";
import type { Question } from "./question.ts";
import { RunTimes } from "./run_time.ts";
import { Subject } from "./subject.ts";

const ROUNDS = 100;
const PORT = 21_001;

export const question: Question = {
  number: 1,
  name: "syn_kernel",
  title: "a new connection under `--route kernel`",
  reference: "an empty program",
  async measure() {
    using _times = new RunTimes();
    await using group = await OneGroup.open(PORT, 2);
    using ours = Subject.ours(group, {});
    using empty = Subject.reference(group, "syn_kernel");
    const samples = await flood(PORT, () =>
      inTurn(ROUNDS, { ours: () => ours.nsPerSyn(), empty: () => empty.nsPerSyn() }),
    );
    return [compare(samples.ours, samples.empty, { unit: "ns", atMost: 1.15 })];
  },
};
