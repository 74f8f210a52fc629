/** The verdict as text and as JSON. */
import { STAGES } from "../../loader/core/abi.ts";
import { formatEndpoint } from "../../loader/core/address.ts";
import type { Decision } from "../../loader/group/counters.ts";
import { heldText } from "../../loader/group/hold_record.ts";
import type { GroupStatus } from "../../loader/operate/status.ts";
import { durationText } from "../options/values.ts";
import { isMigrating } from "../output/decisions.ts";
import { groupJson } from "../output/status_json.ts";
import { table } from "../output/table.ts";
import { type Ending, endingText } from "../process/child.ts";
import { LIMIT_MS, type Settled } from "./settle.ts";
import type { GroupVerdict, NetnsVerdict, RunVerdict } from "./verdict.ts";

/** A finished run. */
export interface RunReport {
  readonly verdict: RunVerdict;
  readonly ending: Ending;
  readonly settled: Settled;
  readonly settleMs: number;
  /** Groups in which connections still waited at the end. */
  readonly waiting: readonly GroupStatus[];
  readonly maxLost: number;
  readonly exitCode: number;
}

const where = ({ key }: GroupStatus) => formatEndpoint(key.family, key.address, key.port);

/** Returns what `run` prints; its last line is the verdict. */
export function outcomeText(outcome: RunReport): string {
  const { verdict, ending } = outcome;
  const failed = ending.code !== 0 ? [`the command ended ${endingText(ending)}`] : [];
  return [
    ...verdict.groups.flatMap(groupText),
    ...verdict.namespaces.flatMap(netnsText),
    ...unsettledText(outcome),
    ...failed,
    verdictText(outcome),
  ].join("\n");
}

function groupText(verdict: GroupVerdict): string[] {
  const { group, came, gone, decisions, held, reset } = verdict;
  const migrating = decisions.filter(isMigrating);
  const fresh = decisions.filter((decision) => !isMigrating(decision));
  const rows = STAGES.filter((stage) => migrating.some((d) => d.stage === stage)).map((stage) => {
    const cells = ["selected", "kernel", "dropped", "fallback"] as const;
    return [stage, ...cells.map((outcome) => countText(ofOutcome(migrating, outcome, stage)))];
  });
  const header = ["stage", "migrated", "kernel", "dropped", "fell back"];
  const destinations = destinationsText(verdict);
  return [
    `${where(group)}  service ${group.service}, netns ${group.key.netns}`,
    ...(came ? ["  attached while the command ran: counted from then on"] : []),
    ...(rows.length > 0 ? table(header, rows).map((line) => `    ${line}`) : []),
    ...(rows.length === 0 ? ["  no connection had to migrate"] : []),
    ...(destinations ? [`  migrated ${destinations}`] : []),
    ...(fresh.length > 0 ? [`  new connections: ${total(fresh)}${freshText(fresh)}`] : []),
    ...(reset > 0 ? [`  lost: ${heldText({ handed_over: 0, reset })}`] : []),
    ...(held > 0 ? [`  held: ${held}${leftText(group)}`] : []),
    ...(gone ? ["  no longer attached: counted until it was last seen"] : []),
  ];
}

/** `to generation 3 (newest): 140, by the kernel's hash: 3`. */
function destinationsText({ into, olderOrGone, byKernel }: GroupVerdict): string {
  const parts = into.map(
    ({ generation, newest, count }) =>
      `to generation ${generation}${newest ? " (newest)" : ""}: ${count}`,
  );
  if (olderOrGone > 0) parts.push(`to older or closed listeners: ${olderOrGone}`);
  if (byKernel > 0) parts.push(`by the kernel's hash: ${byKernel}`);
  return parts.join(", ");
}

function ofOutcome(decisions: readonly Decision[], outcome: string, stage?: string): Decision[] {
  return decisions.filter((d) => d.outcome === outcome && (stage ?? d.stage) === d.stage);
}

/** `0`, `3 (gone 2, settings 1)`. */
function countText(decisions: readonly Decision[]): string {
  const reasons = decisions.flatMap(({ reason, count }) => (reason ? [`${reason} ${count}`] : []));
  return [
    String(total(decisions)),
    ...(reasons.length > 0 ? [`(${reasons.join(", ")})`] : []),
  ].join(" ");
}

function freshText(decisions: readonly Decision[]): string {
  const parts = Object.entries({ "fell back": "fallback", refused: "dropped" }).flatMap(
    ([word, outcome]) => {
      const some = ofOutcome(decisions, outcome);
      return some.length > 0 ? [`, ${word}: ${countText(some)}`] : [];
    },
  );
  return parts.join("");
}

function leftText({ hold }: GroupStatus): string {
  return hold?.leftMs ? `, for ${(hold.leftMs / 1000).toFixed(1)}s more` : "";
}

function netnsText({ netns, dropped, reset, failed, delayed }: NetnsVerdict): string[] {
  if (failed === null)
    return [`netns ${netns}: the kernel's own count of lost connections cannot be read`];
  const more = failed - delayed - dropped - reset;
  return [
    ...(delayed > 0
      ? [
          `netns ${netns}: final ACKs found an accept queue full ${delayed} times: delayed, not lost`,
        ]
      : []),
    ...(more > 0
      ? [`netns ${netns}: ${more} could not migrate: no listener was left, or the kernel failed`]
      : []),
  ];
}

function unsettledText({ settled, settleMs, waiting }: RunReport): string[] {
  if (settled === "interrupted") return ["interrupted: later decisions are not counted"];
  if (settled !== "limit") return [];
  const left = waiting.map((group) => {
    const sum = (of: "queueLength" | "halfOpen") =>
      group.listeners.reduce((count, listener) => count + listener[of], 0);
    return `; ${where(group)} has ${sum("queueLength")} queued, ${sum("halfOpen")} half-open`;
  });
  return [`not settled after ${durationText(settleMs + LIMIT_MS)}${left.join("")}`];
}

/** `ok: 0 lost of 143 connections that migrated`. */
function verdictText({ verdict, maxLost, ending }: RunReport): string {
  const { lost, moved, held } = verdict;
  const word = lost > maxLost ? "failed: " : ending.code === 0 ? "ok: " : "";
  if (lost + moved + held === 0) return `${word}no connection had to migrate`;
  const which = lost > 0 ? "that had to migrate" : "that migrated";
  const more = lost > maxLost ? `: --max-lost allows ${maxLost}` : "";
  return `${word}${lost} lost of ${moved + lost} connections ${which}${held > 0 ? `, ${held} held` : ""}${more}`;
}

function total(decisions: readonly Decision[]): number {
  return decisions.reduce((sum, { count }) => sum + count, 0);
}

/** Returns what `run --json` prints. */
export function outcomeJson(outcome: RunReport): unknown {
  const { verdict, ending, settled, maxLost, exitCode } = outcome;
  return {
    exit_code: exitCode,
    command: ending,
    lost: verdict.lost,
    max_lost: maxLost,
    moved: verdict.moved,
    held: verdict.held,
    delayed: verdict.delayed,
    settled,
    groups: verdict.groups.map(({ group, came, gone, ...counts }) => ({
      ...groupJson(group),
      attached_meanwhile: came,
      detached_meanwhile: gone,
      decisions: counts.decisions,
      dropped: counts.dropped,
      moved: counts.moved,
      moved_into: counts.into,
      moved_into_older_or_gone: counts.olderOrGone,
      moved_by_kernel: counts.byKernel,
      held: counts.held,
      reset: counts.reset,
    })),
    namespaces: verdict.namespaces,
  };
}
