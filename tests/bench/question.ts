/** What one file of the benchmark is: a question, and how it is measured. */
import type { Figure } from "./figures.ts";

export interface Question {
  /** As in docs/PERFORMANCE.md, from 1. */
  readonly number: number;
  /** For `make bench ONLY=name`: the name of its file. */
  readonly name: string;
  readonly title: string;
  /** What ours is compared with, in the same run; empty: nothing. */
  readonly reference: string;
  /** Takes the figures, in a sandbox of its own (tests/helpers/sandbox.sh). */
  measure(): Promise<Figure[]>;
}

/** A question and its answer, as bench-results.json has it. */
export interface Answer extends Pick<Question, "number" | "name" | "title" | "reference"> {
  readonly figures: readonly Figure[];
  /** Why it could not be measured; null: it was. */
  readonly error: string | null;
  readonly seconds: number;
}
