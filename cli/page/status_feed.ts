/**
 * The status of a sidecar for those who look: read at an interval while somebody does, and only the
 * groups that changed are passed on. Pure, but for the function that reads.
 */
import type { GroupStatus, Status } from "../../loader/operate/status.ts";
import { groupStatusJson, statusJson } from "../output/status_json.ts";

/** Reads status: passes each group on as soon as it is read, and returns the rest. */
export type ReadStatus = (each: (group: GroupStatus) => void) => Promise<Omit<Status, "groups">>;

/** Version of /status.json and of the events of /events: raised when a member is removed. */
export const STATUS_VERSION = 1;

/** What changed after a revision. */
export interface Changes {
  readonly revision: number;
  /** JSON of groups. */
  readonly groups: readonly string[];
  /** Ids of groups that are gone. */
  readonly gone: readonly string[];
}

/** A group as it was read last; json null: it is gone. */
interface Known {
  json: string | null;
  revision: number;
}

export class StatusFeed {
  readonly #read: ReadStatus;
  readonly #known = new Map<string, Known>();
  #revision = 0;
  #rest: Omit<Status, "groups"> | null = null;
  #reading: Promise<void> | null = null;

  constructor(read: ReadStatus) {
    this.#read = read;
  }

  /** Reads the status; whoever asks meanwhile waits for the same one. */
  refresh(): Promise<void> {
    this.#reading ??= this.#refresh().finally(() => {
      this.#reading = null;
    });
    return this.#reading;
  }

  async #refresh(): Promise<void> {
    const revision = this.#revision + 1;
    const seen = new Set<string>();
    const set = (name: string, json: string | null) => {
      if (this.#known.get(name)?.json === json) return;
      this.#known.set(name, { json, revision });
      this.#revision = revision;
    };
    this.#rest = await this.#read((group) => {
      seen.add(group.name);
      set(group.name, JSON.stringify(groupStatusJson(group)));
    });
    for (const [name, { json }] of this.#known) {
      if (json !== null && !seen.has(name)) set(name, null);
    }
    if (this.#revision === 0) this.#revision = revision; // that there is no group is a status, too
  }

  /** Returns what changed after `revision`; 0: every group there is. */
  since(revision: number): Changes {
    const changed = [...this.#known].filter(([, known]) => known.revision > revision);
    return {
      revision: this.#revision,
      groups: changed.flatMap(([, { json }]) => json ?? []),
      gone: revision === 0 ? [] : changed.flatMap(([name, { json }]) => (json ? [] : name)),
    };
  }

  /** Returns the whole status as JSON. @requires that it was read */
  json(timeMs: number): string {
    if (!this.#rest) throw new Error("the status was not read yet");
    const { groups: _, ...rest } = statusJson({ ...this.#rest, groups: [] });
    const head = JSON.stringify({ version: STATUS_VERSION, time: new Date(timeMs), ...rest });
    return `${head.slice(0, -1)},"groups":[${this.since(0).groups.join(",")}]}`;
  }

  /** Forgets everything: nobody looks. */
  clear(): void {
    this.#known.clear();
    this.#rest = null;
  }
}
