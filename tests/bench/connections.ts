/** 5: how many short connections per second a saturated server accepts. */
import { SidecarProcess } from "../helpers/product/sidecar.ts";
import { Nginx } from "../helpers/servers/nginx.ts";
import { compare, inTurn, type Rounds } from "./figures.ts";
import type { Question } from "./question.ts";
import { PINNED, Saturation } from "./saturation.ts";

const OURS = 8001;
const OTHER = 8002;
/** Each scene has new processes: two runs of the same program differ by half a percent. */
const SCENES = 6;
const SCENES_HOLDING = 2;
/** Pairs of slices in a scene. */
const PAIRS = 180;
const SLICE_MS = 10;

export const question: Question = {
  number: 5,
  name: "connections",
  title: "short HTTP connections per second, saturated server",
  reference: "nothing attached",
  measure: async () => {
    const plain = await scenes(SCENES, []);
    const holding = await scenes(SCENES_HOLDING, ["--hold", "10s"]);
    return [
      compare(plain.ours, plain.nothing, { unit: "1/s", atLeast: 0.99 }),
      compare(holding.ours, holding.nothing, { label: "with --hold", unit: "1/s" }),
    ];
  },
};

type Rates = Rounds<"ours" | "nothing">;

async function scenes(count: number, options: readonly string[]): Promise<Rates> {
  const all: Rates[] = [];
  for (let i = 0; i < count; i++) all.push(await scene(options, i % 2 === 0));
  return {
    ours: all.flatMap(({ ours }) => ours),
    nothing: all.flatMap(({ nothing }) => nothing),
  };
}

/** One server with two groups, of which one is attached. */
async function scene(options: readonly string[], oursFirst: boolean): Promise<Rates> {
  await using _nginx = await Nginx.start({
    port: OURS,
    ports: [OTHER],
    workers: 2,
    under: PINNED,
  });
  await using _sidecar = await SidecarProcess.attach(`127.0.0.1:${OURS}`, ...options);
  await using ours = await Saturation.connecting(OURS);
  await using nothing = await Saturation.connecting(OTHER);
  const subjects = {
    ours: () => ours.slice(SLICE_MS),
    nothing: () => nothing.slice(SLICE_MS),
  };
  const { ours: first, nothing: second } = subjects;
  const rates = await inTurn(
    PAIRS,
    oursFirst ? { ours: first, nothing: second } : { nothing: second, ours: first },
  );
  await ours.end();
  await nothing.end();
  return rates;
}
