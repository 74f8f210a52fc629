/** 2: what the program costs a new connection that it chooses a listener for. */
import type { SidecarOptions } from "../../loader/index.ts";
import { compare, type Figure, inTurn } from "./figures.ts";
import { flood } from "./flood.ts";
import { Many } from "./many.ts";
import type { Question } from "./question.ts";
import { RunTimes } from "./run_time.ts";
import { fillSockets, Subject } from "./subject.ts";

const ROUNDS = 50;
const PORT = 21_010;

/** When it chooses. */
const SITUATIONS: Readonly<Record<string, Partial<SidecarOptions> & { drained?: number }>> = {
  "`--route newest`": { route: "newest" },
  "one drained": { drained: 1 },
  "standby present": { hold: { timeMs: 60_000, max: 1024 } },
};

/** A bare select out of a sockmap, over the same listeners. */
function bareSelect(many: Many): Subject {
  const count = Buffer.alloc(4);
  count.writeUInt32LE(many.listeners.length);
  return Subject.reference(many, "syn_select", fillSockets, (object) =>
    object.setData(".rodata", count),
  );
}

async function measure(situation: string, port: number, listeners: number): Promise<Figure> {
  await using many = await Many.open(port, listeners);
  using ours = Subject.ours(many, SITUATIONS[situation] ?? {});
  using bare = bareSelect(many);
  const samples = await flood(port, () =>
    inTurn(ROUNDS, { ours: () => ours.nsPerSyn(), bare: () => bare.nsPerSyn() }),
  );
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
