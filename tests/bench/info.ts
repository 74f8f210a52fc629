/** `make info`: what each BPF program costs, and its budget. */
import { table } from "../../cli/output/table.ts";
import { FIGURES, overBudget, programCosts, readBudget } from "./programs.ts";

const costs = programCosts();
const budget = readBudget();
const rows = costs.map((cost) => [
  cost.object,
  cost.program,
  ...FIGURES.map((figure) => `${cost[figure]} (${budget[cost.program]?.[figure] ?? "none"})`),
]);
const header = ["object", "program", "verifier insns (budget)", "stack", "map bytes", "file bytes"];
process.stdout.write(`${table(header, rows).join("\n")}\n`);
for (const sentence of overBudget(costs, budget)) process.stdout.write(`${sentence}\n`);
