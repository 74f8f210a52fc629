/**
 * `make bench [ONLY=name,...]`: asks every question, each in a process and a sandbox of its own,
 * one after the other. A whole run writes bench-results.json and the table of docs/PERFORMANCE.md;
 * a run of some only prints. Exit code 1 when a target was missed.
 */
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { fileURLToPath } from "node:url";
import { TempDir } from "../helpers/host/child.ts";
import type { Answer } from "./question.ts";
import { QUESTIONS } from "./questions.ts";
import { bound, insert, markdown, number, type Report, verdict } from "./report.ts";

const ROOT = new URL("../../../", import.meta.url);
const SANDBOX = fileURLToPath(new URL("tests/helpers/sandbox.sh", ROOT));
const ASK = fileURLToPath(new URL("./ask.js", import.meta.url));
const DOCUMENT = new URL("docs/PERFORMANCE.md", ROOT);

const only = (process.env["ONLY"] ?? "").split(/[,\s]+/).filter(Boolean);
const unknown = only.filter((name) => !(QUESTIONS as readonly string[]).includes(name));
if (unknown.length > 0) {
  process.stderr.write(
    `bench: no question is called ${unknown.join(", ")}; there are ${QUESTIONS.join(", ")}\n`,
  );
  process.exit(2);
}

const wanted = only.length > 0 ? QUESTIONS.filter((name) => only.includes(name)) : QUESTIONS;
const answers: Answer[] = [];
for (const name of wanted) {
  const answer = ask(name);
  answers.push(answer);
  say(answer);
}

const failed = answers.filter((a) => a.error !== null || a.figures.some((f) => f.pass === false));
if (only.length === 0) {
  const report = reportOf(answers);
  writeFileSync(new URL("bench-results.json", ROOT), `${JSON.stringify(report, null, 2)}\n`);
  writeFileSync(DOCUMENT, insert(readFileSync(DOCUMENT, "utf8"), markdown(report)));
}
const names = failed.map(({ name }) => name).join(", ");
process.stdout.write(
  failed.length === 0 ? "\nevery target is met\n" : `\nmissed a target: ${names}\n`,
);
process.exitCode = failed.length === 0 ? 0 : 1;

function ask(name: string): Answer {
  using directory = new TempDir();
  const out = directory.file("answer.json");
  const { status, signal } = spawnSync(SANDBOX, [process.execPath, ASK, name, out], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (status === 0) return JSON.parse(readFileSync(out, "utf8"));
  if (signal === "SIGINT" || status === 130) process.exit(130);
  const error = `it ended with ${signal ?? status}`;
  const number = QUESTIONS.indexOf(name as (typeof QUESTIONS)[number]) + 1;
  return { number, name, title: name, reference: "", figures: [], error, seconds: 0 };
}

function say({ number: n, name, title, reference, figures, error, seconds }: Answer): void {
  const against = reference && `, against ${reference}`;
  process.stdout.write(`\n${n} ${name}: ${title}${against} (${seconds} s)\n`);
  if (error !== null) process.stdout.write(`  FAIL: ${error}\n`);
  for (const { label, unit, value, reference: other, ratio, target, pass, rounds } of figures) {
    const parts = [
      `${number(value.median)} ${unit} [${number(value.low)} ${number(value.high)}]`,
      other && `reference ${number(other.median)} ${unit}`,
      ratio &&
        `ratio ${ratio.median.toFixed(3)} [${ratio.low.toFixed(3)} ${ratio.high.toFixed(3)}]`,
      `${rounds} rounds`,
      target && `${verdict({ pass })} (${target.of} ${bound(target)})`,
    ];
    process.stdout.write(`  ${label && `${label}: `}${parts.filter(Boolean).join(", ")}\n`);
  }
}

function reportOf(all: readonly Answer[]): Report {
  const cpu = cpus()[0]?.model.trim() ?? "unknown";
  const memoryGb = Math.round(totalmem() / 2 ** 30);
  return {
    date: new Date().toISOString(),
    machine: { cpu, cpus: cpus().length, memoryGb },
    kernel: release(),
    node: process.versions.node,
    answers: all,
  };
}
