/**
 * `ask.js NAME FILE`: measures one question of the benchmark and writes its answer as JSON into
 * FILE.
 */
import { writeFileSync } from "node:fs";
import type { Answer, Question } from "./question.ts";

const [name, out] = process.argv.slice(2);
if (!name || !out) throw new Error("usage: ask NAME FILE");
const { question } = (await import(`./${name}.js`)) as { question: Question };
const { number, title, reference } = question;
const startMs = performance.now();
let figures: Answer["figures"] = [];
let error: string | null = null;
try {
  figures = await question.measure();
} catch (thrown) {
  error = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
}
const seconds = Math.round((performance.now() - startMs) / 1000);
const answer: Answer = { number, name, title, reference, figures, error, seconds };
writeFileSync(out, JSON.stringify(answer));
