/** 1: the cost of the program per new connection under `--route kernel`. */
import { compare, inTurn } from "./figures.ts";
import { flood } from "./flood.ts";
import { OneGroup } from "./one_group.ts";
import type { Question } from "./question.ts";
import { RunTimes } from "./run_time.ts";
import { Subject } from "./subject.ts";

/**
 * Each scene loads the programs again, as the place of their code and maps is worth some percent.
 */
const SCENES = 6;
const ROUNDS = 16;
const PORT = 21_001;

export const question: Question = {
  number: 1,
  name: "syn_kernel",
  title: "a new connection under `--route kernel`",
  reference: "an empty program",
  async measure() {
    using _times = new RunTimes();
    await using group = await OneGroup.open(PORT, 2);
    const samples: Record<"ours" | "empty", number[]> = { ours: [], empty: [] };
    for (let scene = 0; scene < SCENES; scene++) {
      // The last program of the scene before is still attached.
      await using ours = await Subject.ours(group, { replace: true });
      await using empty = Subject.reference(group, "syn_kernel");
      const some = await flood(PORT, () =>
        inTurn(ROUNDS, { ours: () => ours.nsPerSyn(), empty: () => empty.nsPerSyn() }),
      );
      samples.ours.push(...some.ours);
      samples.empty.push(...some.empty);
    }
    return [compare(samples.ours, samples.empty, { unit: "ns", atMost: 1.15 })];
  },
};
