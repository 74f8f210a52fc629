/** Wakes the destinations of migrations: where a service asks for it, and the kernel does not. */
import { type Journal, message } from "../log.ts";
import type { ManagedGroup } from "../manage/managed_group.ts";
import type { Service } from "../service/service.ts";

export class Wakeups {
  readonly #journal: Journal;
  #isProbed = false;
  /** The kernel leaves a destination asleep; null: not tested. */
  #kernelNeverWakes: boolean | null = null;

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  /** Whether the kernel leaves a destination asleep; null: not tested, or the test failed. */
  get kernelNeverWakes(): boolean | null {
    return this.#kernelNeverWakes;
  }

  /** Starts or stops waking the destinations of one group; a failure is logged. */
  apply(managed: ManagedGroup, { options }: Service): void {
    const { wake = "never" } = options;
    const wakes = wake === "always" || (wake === "auto" && this.#kernelNeverWakes === true);
    const about = `${managed.group.name} wake`;
    const failed = (error: unknown) => this.#journal.warn(about, message(error));
    this.#journal.attempt(about, () => managed.wake(wakes, failed));
  }

  /**
   * Probes, once and if a service requires it, whether this kernel wakes destinations.
   * @returns whether {@link apply} now decides differently
   */
  async probe(services: readonly Service[]): Promise<boolean> {
    if (this.#isProbed || !services.some(({ options }) => options.wake === "auto")) return false;
    const { probeWakeupApart } = await import("../selftest/wakeup.ts");
    const probing = probeWakeupApart();
    this.#isProbed = true;
    const found = await probing;
    if (found !== "unknown") this.#kernelNeverWakes = found === "asleep";
    if (found !== "asleep") {
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
