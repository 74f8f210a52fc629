/** SPECs that cover no group when a sidecar starts or reloads: each is expected to cover one. */
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
  readonly names: readonly string[];
  get(name: string): ManagedGroup | undefined;
}

export class UnmatchedSpecs {
  readonly #journal: Journal;
  #specs: readonly Unmatched[] = [];

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  /** Those that {@link find} found last. */
  get specs(): readonly Unmatched[] {
    return this.#specs;
  }

  /**
   * Finds them, and logs each with the reason.
   * @param listeners every listener of the host
   */
  async find(
    services: readonly Service[],
    listeners: readonly Listener[],
    managed: Groups,
  ): Promise<void> {
    const groups = [...byGroup(listeners).values()];
    const keys = managed.names.flatMap((name) => managed.get(name)?.group.record.key ?? []);
    const isMatched = ({ service, spec }: Unmatched) =>
      keys.some((key) => matchesSpec(spec, key)) ||
      groups.some((members) => covers(members, [spec], service.filter) !== undefined);
    const all = services.flatMap((service) =>
      service.options.specs.map((spec) => ({ service, spec })),
    );
    for (const each of all.filter(isMatched)) this.#journal.settled(aboutOf(each));
    this.#specs = all.filter((each) => !isMatched(each));
    if (this.#specs.length === 0) return;
    const observer = new Observer({ udp: true });
    try {
      const now = await observer.snapshot();
      for (const each of this.#specs) this.#say(each, now.listeners);
    } finally {
      await observer.close();
    }
  }

  #say(each: Unmatched, listeners: readonly Listener[]): void {
    const { service, spec } = each;
    const reasons = explainNoMatch(listeners, [spec], service.filter);
    if (reasons.length > 0) {
      // What the binds of an adopted cgroup lack is told by its adoption.
      if (service.adopts) return;
      this.#journal.warn(aboutOf(each), `${spec.text} is not attached: ${reasons.join("; ")}`);
      return;
    }
    const text = `${spec.text}: nothing listens there; it is attached once a server does`;
    if (service.waits) this.#journal.say("waiting", text, { spec: spec.text });
    else this.#journal.warn(aboutOf(each), text);
  }
}

const aboutOf = ({ service, spec }: Unmatched) => `spec ${service.label} ${spec.text}`;
