/** Figures from samples that were taken in turn, and their targets. Pure. */

/** The middle half of some samples: median and quartiles. */
export interface Spread {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

/** A bound on a figure. */
export interface Target {
  /** The number that the bound is on. */
  readonly of: "ratio" | "value";
  readonly atMost?: number;
  readonly atLeast?: number;
}

export interface Figure {
  /** The case of the question, such as `1,000 listeners`; empty if there is only one. */
  readonly label: string;
  /** The unit of `value` and `reference`. */
  readonly unit: string;
  /** The figure with reuseport-migrate. */
  readonly value: Spread;
  readonly reference: Spread | null;
  /** The ratio of `value` to `reference` of the same round. */
  readonly ratio: Spread | null;
  /** Rounds, each with one sample of every subject. */
  readonly rounds: number;
  /** null if the figure is only reported. */
  readonly target: Target | null;
  readonly pass: boolean | null;
}

/** Returns a quantile by linear interpolation. */
export function quantile(samples: readonly number[], q: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const low = sorted[Math.floor(at)] ?? Number.NaN;
  const high = sorted[Math.ceil(at)] ?? Number.NaN;
  return low + (high - low) * (at - Math.floor(at));
}

export function spread(samples: readonly number[]): Spread {
  const [low, median, high] = [0.25, 0.5, 0.75].map((q) => quantile(samples, q));
  return { low: low ?? 0, median: median ?? 0, high: high ?? 0 };
}

/** Samples of each subject, by round. */
export type Rounds<Subject extends string> = Readonly<Record<Subject, readonly number[]>>;

/** Measures every subject once per round, in the order A B C A B C ... */
export async function inTurn<Subject extends string>(
  rounds: number,
  subjects: Readonly<Record<Subject, (round: number) => number | Promise<number>>>,
): Promise<Rounds<Subject>> {
  const names = Object.keys(subjects) as Subject[];
  const samples = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<
    Subject,
    number[]
  >;
  for (let round = 0; round < rounds; round++) {
    for (const name of names) samples[name].push(await subjects[name](round));
  }
  return samples;
}

interface About {
  readonly label?: string;
  readonly unit: string;
  /** Absent if the figure is only reported. */
  readonly atMost?: number;
  readonly atLeast?: number;
}

/** Compares ours with a reference of the same rounds; the bound is on the median of the ratios. */
export function compare(
  ours: readonly number[],
  reference: readonly number[],
  { label = "", unit, ...bound }: About,
): Figure {
  const ratios = ours.map((sample, round) => sample / (reference[round] ?? Number.NaN));
  const ratio = spread(ratios);
  return {
    label,
    unit,
    value: spread(ours),
    reference: spread(reference),
    ratio,
    rounds: ours.length,
    ...judge("ratio", bound, ratio.median),
  };
}

/** Reports ours without a reference; the bound is on the median. */
export function alone(ours: readonly number[], { label = "", unit, ...bound }: About): Figure {
  const value = spread(ours);
  return {
    label,
    unit,
    value,
    reference: null,
    ratio: null,
    rounds: ours.length,
    ...judge("value", bound, value.median),
  };
}

function judge(
  of: Target["of"],
  bound: Pick<Target, "atMost" | "atLeast">,
  figure: number,
): Pick<Figure, "target" | "pass"> {
  const { atMost, atLeast } = bound;
  if (atMost === undefined && atLeast === undefined) return { target: null, pass: null };
  // NaN, a figure that could not be measured, fails.
  const pass = figure <= (atMost ?? Infinity) && figure >= (atLeast ?? -Infinity);
  return { target: { of, ...bound }, pass };
}
