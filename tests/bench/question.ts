/** A question of the benchmark, one per file, and its answer. */
import type { Figure } from "./figures.ts";

export interface Question {
  /** Its number in docs/PERFORMANCE.md, from 1. */
  readonly number: number;
  /** The name of its file, for `make bench ONLY=name`. */
  readonly name: string;
  readonly title: string;
  /** The reference of the comparison, measured in the same run; empty if there is none. */
  readonly reference: string;
  /** Measures the figures, in its own sandbox (tests/helpers/sandbox.sh). */
  measure(): Promise<Figure[]>;
}

/** A question and its answer, as in bench-results.json. */
export interface Answer extends Pick<Question, "number" | "name" | "title" | "reference"> {
  readonly figures: readonly Figure[];
  /** Why it could not be measured; null if it was measured. */
  readonly error: string | null;
  readonly seconds: number;
}
