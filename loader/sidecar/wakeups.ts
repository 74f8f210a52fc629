/** Wakes the destinations of migrations: where a service asks for it, and the kernel does not. */
import type { Listener } from "../core/listener.ts";
import { type Journal, message } from "../log.ts";
import type { ManagedGroup } from "../manage/managed_group.ts";
import type { Snapshot } from "../observe/snapshot.ts";
import type { Service } from "./service.ts";

export class Wakeups {
  readonly #journal: Journal;
  readonly #observe: () => Promise<Snapshot>;
  #isProbed = false;
  /** The kernel leaves a destination asleep. */
  #kernelNeverWakes = false;

  /** @param observe reads the host; groups of one burst of migrations share a read */
  constructor(journal: Journal, observe: () => Promise<Snapshot>) {
    this.#journal = journal;
    this.#observe = observe;
  }

  /** Starts or stops waking the destinations of one group. */
  apply(managed: ManagedGroup, { options }: Service, members: readonly Listener[]): void {
    const { wake = "never" } = options;
    const wakes = wake === "always" || (wake === "auto" && this.#kernelNeverWakes);
    const about = `wake ${managed.group.name}`;
    const failed = (error: unknown) => this.#journal.warn(about, message(error));
    managed.wake(wakes, members, this.#observe, failed);
  }

  /**
   * Probes, once and if a service requires it, whether this kernel wakes destinations.
   * @returns whether {@link apply} now decides differently
   */
  async probe(services: readonly Service[]): Promise<boolean> {
    if (this.#isProbed || !services.some(({ options }) => options.wake === "auto")) return false;
    this.#isProbed = true;
    const { probeWakeupApart } = await import("../selftest/wakeup.ts");
    const found = await probeWakeupApart();
    this.#kernelNeverWakes = found === "asleep";
    if (!this.#kernelNeverWakes) {
      const text = `probed whether this kernel wakes destinations of migrations: ${found}`;
      this.#journal.say("wakeup_tried_out", text, { found });
      return false;
    }
    this.#journal.warn(
      "wake",
      "this kernel does not wake a process that connections migrate to (CVE-2026-46015); the sidecar wakes it with a connection that it closes at once: boot a fixed kernel",
    );
    return true;
  }
}
