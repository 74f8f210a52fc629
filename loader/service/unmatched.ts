/** SPECs that cover no group: each is expected to cover one. */
import { byGroup, type Listener } from "../core/listener.ts";
import { matchesSpec, type Spec } from "../core/spec.ts";
import type { Journal } from "../log.ts";
import type { ManagedGroup } from "../manage/managed_group.ts";
import { covers, explainNoMatch } from "../observe/coverage.ts";
import { Observer } from "../observe/observer.ts";
import type { Service } from "./service.ts";

/** A SPEC of a service that covers no group. */
export interface Unmatched {
  readonly service: Service;
  readonly spec: Spec;
}

/** The groups of a sidecar, also those in which nothing listens now. */
interface Groups {
  readonly all: Iterable<ManagedGroup>;
}

export class UnmatchedSpecs {
  readonly #journal: Journal;
  #specs: readonly Unmatched[] = [];
  /** Why each covers none: the last sentence that was logged. */
  readonly #reasons = new Map<string, string>();
  /** UDP sockets on their ports, which an ordinary snapshot does not have. */
  #udp: readonly Listener[] = [];
  /** The listeners of the last snapshot. */
  #seen: readonly Listener[] | null = null;

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  /** Those that were found last. */
  get specs(): readonly Unmatched[] {
    return this.#specs;
  }

  /** One sentence for each of {@link specs}. */
  get reasons(): readonly string[] {
    return this.#specs.flatMap((each) => this.#reasons.get(aboutOf(each)) ?? []);
  }

  /**
   * Finds them at the start or after a reload, and logs each with the reason.
   * @param listeners every TCP listener of the host
   */
  async find(
    services: readonly Service[],
    listeners: readonly Listener[],
    groups: Groups,
  ): Promise<void> {
    this.#reasons.clear();
    this.#specs = unmatched(services, listeners, groups);
    if (this.#specs.length === 0) return;
    const observer = new Observer({ udp: true });
    try {
      const { listeners: all } = await observer.snapshot();
      this.#udp = all.filter(({ protocol }) => protocol === "udp");
      for (const each of this.#specs) this.#say(each, all);
    } finally {
      await observer.close();
    }
  }

  /**
   * Finds them again in a later snapshot: a server may have started that cannot be attached. Costs
   * nothing while every SPEC covers a group or nothing has changed (bench row 14).
   */
  look(services: readonly Service[], listeners: readonly Listener[], groups: Groups): void {
    const before = this.#seen;
    this.#seen = listeners;
    if (listeners === before || (this.#specs.length === 0 && !isEmpty(groups.all))) return;
    const found = unmatched(services, listeners, groups);
    for (const each of this.#specs) {
      if (found.some((one) => aboutOf(one) === aboutOf(each))) continue;
      this.#journal.settled(aboutOf(each));
      this.#reasons.delete(aboutOf(each));
    }
    this.#specs = found;
    for (const each of found) this.#say(each, [...listeners, ...this.#udp]);
  }

  #say(each: Unmatched, listeners: readonly Listener[]): void {
    const { service, spec } = each;
    const reasons = explainNoMatch(listeners, [spec], service.filter);
    const isThere = reasons.length > 0;
    const text = isThere
      ? `${spec.text} is not attached: ${reasons.join("; ")}`
      : `${spec.text}: ${NOTHING[spec.port === null ? "all" : "port"]}; it is attached once a server does`;
    if (this.#reasons.get(aboutOf(each)) === text) return;
    this.#reasons.set(aboutOf(each), text);
    // What the binds of an adopted cgroup lack is told by its adoption.
    if (isThere && service.adopts) return;
    if (isThere || !service.waits) this.#journal.warn(aboutOf(each), text);
    else this.#journal.say("waiting", text, { spec: spec.text });
  }
}

const NOTHING = {
  port: "nothing listens there",
  all: "no TCP listener sets SO_REUSEPORT",
} as const;

const aboutOf = ({ service, spec }: Unmatched) => `spec ${service.label} ${spec.text}`;

const isEmpty = (all: Iterable<ManagedGroup>): boolean => {
  for (const _ of all) return false;
  return true;
};

function unmatched(
  services: readonly Service[],
  listeners: readonly Listener[],
  groups: Groups,
): Unmatched[] {
  const members = [...byGroup(listeners).values()];
  const keys = [...groups.all].map(({ group }) => group.record.key);
  const all = services.flatMap((service) =>
    service.options.specs.map((spec) => ({ service, spec })),
  );
  return all.filter(
    ({ service, spec }) =>
      !keys.some((key) => matchesSpec(spec, key)) &&
      !members.some((each) => covers(each, [spec], service.filter) !== undefined),
  );
}
