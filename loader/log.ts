/** What a sidecar says of its groups: events for the log. */

import type { HoldResult, SettingsPolicy } from "./abi.ts";
import type { GroupRecord } from "./codec.ts";
import { LockedError } from "./errors.ts";
import type { Match } from "./filter.ts";
import type { HoldEvent } from "./holding.ts";
import type { Listener } from "./listener.ts";
import type { Refreshed } from "./manage_options.ts";
import type { ManagedGroup } from "./managed.ts";
import { mptcpOf } from "./members.ts";
import type { Plan } from "./plan.ts";

/** Something worth a line in the log. `fields` are JSON-ready. */
export interface SidecarEvent {
  readonly level: "info" | "warn" | "error";
  readonly event: string;
  readonly text: string;
  readonly fields: Readonly<Record<string, string | number | null>>;
}

export type Log = (event: SidecarEvent) => void;

/** A hold's end, in words. */
const HOW: Readonly<Record<HoldResult, string>> = {
  handed_over: "handed over",
  expired: "nothing listened in time; the hold ended",
  released: "the hold was released",
};

/** What different settings mean for migrating connections, by policy. */
const WHAT_THEN: Readonly<Record<SettingsPolicy, string>> = {
  prefer: "connections move between them when there is no other target",
  strict: "connections do not move between them, they are dropped when there is no other target",
  ignore: "connections move between them all the same",
};

/** Writes the log of one sidecar; a lasting condition is said once. */
export class Journal {
  readonly #log: Log;
  /** Last warning by what it is about. */
  readonly #warned = new Map<string, string>();

  constructor(log: Log) {
    this.#log = log;
  }

  say(event: string, text: string, fields: SidecarEvent["fields"] = {}): void {
    this.#log({ level: "info", event, text, fields });
  }

  /** Says how a hold began or ended. */
  #hold({ group, label }: ManagedGroup, hold: HoldEvent): void {
    const { started, ended, connections, heldMs } = hold;
    const { timeMs = 0 } = group.record.hold ?? {};
    const fields = { group: group.name, connections, held_ms: heldMs };
    if (started) {
      const text = `${label}: nothing listens; holding for up to ${timeMs / 1000} s`;
      this.say("hold_started", text, fields);
    } else if (ended) {
      const text = `${label}: ${HOW[ended]} after ${heldMs / 1000} s, connections: ${connections}`;
      this.say("hold_ended", text, { ...fields, result: ended });
    }
  }

  warn(about: string, text: string): void {
    if (this.#warned.get(about) === text) return;
    this.#warned.set(about, text);
    this.#log({ level: "warn", event: "warning", text, fields: { about } });
  }

  /** What it was about is well again. */
  settled(about: string): void {
    this.#warned.delete(about);
  }

  /** Runs a step; its failure is said once, and settled when it succeeds. */
  attempt(about: string, step: () => void): void {
    try {
      step();
      this.settled(about);
    } catch (error) {
      this.warn(about, message(error));
    }
  }

  takenOn({ isNew, label, group }: ManagedGroup, { service, members }: Match): void {
    const event = isNew ? "attached" : "adopted";
    const count = members.length;
    this.say(
      event,
      `${event} ${label}: ${count} listener${count === 1 ? "" : "s"}, program ${group.programId}`,
      { group: group.name, service, listeners: count, program_id: group.programId },
    );
  }

  policyChanged({ label, group }: ManagedGroup): void {
    const { service, migrate, route, hold } = group.record;
    const holds = hold ? `, hold ${hold.timeMs / 1000} s` : "";
    const text = `${label} has the policy of ${service}: migrate ${migrate}, route ${route}${holds}`;
    this.say("policy_changed", text, { group: group.name, service, migrate, route });
  }

  /** Says what a refresh changed; nothing when nothing did. */
  refreshed(managed: ManagedGroup, members: readonly Listener[], refreshed: Refreshed): void {
    const { group, label } = managed;
    const { plan, reattached } = refreshed;
    const say = (event: string, text: string, fields: SidecarEvent["fields"] = {}) =>
      this.say(event, `${label}: ${text}`, { group: group.name, ...fields });

    if (reattached) say("reattached", "the group was re-created; attached again");
    for (const { cookie, slot, generation } of plan.added) {
      const owner = members.find((member) => member.cookie === cookie)?.owners[0];
      const who = `${owner?.comm} (pid ${owner?.pid})`;
      const fields = { slot, generation, pid: owner?.pid ?? null };
      say(
        "listener_added",
        `listener of ${who} has slot ${slot}, generation ${generation}`,
        fields,
      );
    }
    for (const { slot, generation, closedMs, class: number } of plan.changed) {
      const where = `listener in slot ${slot}, generation ${generation}`;
      const fields = { slot, generation, class: number };
      if (closedMs !== null) say("listener_closed", `${where} closed`, fields);
      else say("listener_changed", `${where} listens with settings class ${number}`, fields);
    }
    if (refreshed.hold) this.#hold(managed, refreshed.hold);
    for (const { classes, names } of refreshed.unlike) {
      this.warn(
        `${group.name} classes ${classes.join(" ")}`,
        `${label}: listeners of settings classes ${classes.join(" and ")} differ in ${names.join(", ")}; ${WHAT_THEN[group.record.settings]}`,
      );
    }
    const lasting = `${group.name} lasting`;
    const warnings = warningsOf(managed, members, refreshed);
    if (warnings.length > 0) this.warn(lasting, warnings.join("; "));
    else this.settled(lasting);
  }
}

/** Conditions that last until somebody acts. */
function warningsOf(
  managed: ManagedGroup,
  members: readonly Listener[],
  refreshed: Refreshed,
): string[] {
  const { group, label } = managed;
  const warnings = managed.warnings.map((text) => `${label}: ${text}`);
  warnings.push(
    ...starved(group.record, members, refreshed.plan).map((text) => `${label}: ${text}`),
  );
  const waiting = refreshed.plan.waiting.length;
  if (waiting > 0) {
    const have = `there are ${group.record.slots}`;
    warnings.push(
      `${label}: ${waiting} listeners have no slot (${have}) and are left to the kernel's hash: detach and attach again to make room`,
    );
  }
  if (refreshed.unreachable) {
    warnings.push(`${label}: not attached, its owners went away when it was to be borrowed`);
  }
  return warnings;
}

/** What a policy takes from listeners that only the kernel's hash reaches. */
function starved(
  { settings, migrate, hold }: GroupRecord,
  members: readonly Listener[],
  { targets }: Plan,
): string[] {
  const count = mptcpOf(members).length;
  if (count === 0) return [];
  const texts: string[] = [];
  const who = `MPTCP listeners (${count})`;
  if (!hold && (targets.syn.length > 0 || targets.refuse)) {
    texts.push(
      `${who} get no new connections: targets are selected (--route newest, or a drain), and only the kernel's hash reaches MPTCP`,
    );
  }
  if (settings === "strict" && (migrate === "newest" || migrate === "any")) {
    texts.push(
      `${who} lose their connections when they close, unless all others are alike: their settings cannot be compared (--settings strict)`,
    );
  }
  return texts;
}

/** An error as the log says it. */
export function message(error: unknown): string {
  // A lock held for a moment is not news each time with another pid.
  if (error instanceof LockedError) return "another reuseport-migrate is at work; trying again";
  return error instanceof Error ? error.message : String(error);
}
