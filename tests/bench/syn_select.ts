/** 2: the cost of the program per new connection for which it chooses a listener. */
import type { SidecarOptions } from "../../loader/index.ts";
import { compare, type Figure, inTurn } from "./figures.ts";
import { flood } from "./flood.ts";
import { OneGroup } from "./one_group.ts";
import type { Question } from "./question.ts";
import { RunTimes } from "./run_time.ts";
import { fillSockets, Subject } from "./subject.ts";

/**
 * Each scene loads the programs again, as the place of their code and maps is worth some percent.
 */
const SCENES = 5;
const ROUNDS = 8;
const PORT = 21_010;

/** Situations in which the program chooses. */
const SITUATIONS: Readonly<Record<string, Partial<SidecarOptions> & { drained?: number }>> = {
  "`--route newest`": { route: "newest" },
  "one drained": { drained: 1 },
  "standby present": { hold: { timeMs: 60_000, max: 1024 } },
};

/** Loads a bare select from a sockmap of the same listeners. */
function bareSelect(group: OneGroup): Subject {
  const count = Buffer.alloc(4);
  count.writeUInt32LE(group.listeners.length);
  return Subject.reference(group, "syn_select", fillSockets, (object) =>
    object.setData(".rodata", count),
  );
}

async function measure(situation: string, port: number, listeners: number): Promise<Figure> {
  await using group = await OneGroup.open(port, listeners);
  const samples: Record<"ours" | "bare", number[]> = { ours: [], bare: [] };
  for (let scene = 0; scene < SCENES; scene++) {
    // The last program of the scene before is still attached.
    await using ours = await Subject.ours(group, { ...SITUATIONS[situation], replace: true });
    await using bare = bareSelect(group);
    const some = await flood(port, () =>
      inTurn(ROUNDS, { ours: () => ours.nsPerSyn(), bare: () => bare.nsPerSyn() }),
    );
    samples.ours.push(...some.ours);
    samples.bare.push(...some.bare);
  }
  const label = `${situation}, ${listeners.toLocaleString("en-US")} listeners`;
  return compare(samples.ours, samples.bare, { label, unit: "ns", atMost: 1.1 });
}

export const question: Question = {
  number: 2,
  name: "syn_select",
  title: "a new connection, explicit selection",
  reference: "a bare SOCKMAP select",
  async measure() {
    using _times = new RunTimes();
    const figures: Figure[] = [];
    for (const listeners of [2, 1_000]) {
      for (const situation of Object.keys(SITUATIONS)) {
        figures.push(await measure(situation, PORT + figures.length, listeners));
      }
    }
    return figures;
  },
};
