/** Which groups' destinations a sidecar wakes: as their services want, and where the kernel does not. */
import { type Journal, message } from "../log.ts";
import type { ManagedGroup } from "../manage/managed_group.ts";
import type { Service } from "./service.ts";

export class Wakeups {
  readonly #journal: Journal;
  #triedOut = false;
  #asleep = false;

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  /** Wakes the group's destinations from now on, or leaves that to the kernel. */
  of(managed: ManagedGroup, { options: { wake = "never" } }: Service): void {
    const about = `wake ${managed.group.name}`;
    const failed = (error: unknown) => this.#journal.warn(about, message(error));
    managed.wake(wake === "always" || (wake === "auto" && this.#asleep), failed);
  }

  /** Tries out, once and if a service asks, whether this kernel wakes what connections migrate to; `wake` if not. */
  async tryOut(services: readonly Service[], wake: () => void): Promise<void> {
    if (this.#triedOut || !services.some(({ options }) => options.wake === "auto")) return;
    this.#triedOut = true;
    const { probeWakeupApart } = await import("../selftest/wakeup.ts");
    const found = await probeWakeupApart();
    this.#asleep = found === "asleep";
    if (!this.#asleep) {
      const text = `tried out whether this kernel wakes what connections migrate to: ${found}`;
      this.#journal.say("wakeup_tried_out", text, { found });
      return;
    }
    this.#journal.warn(
      "wake",
      "this kernel does not wake a process that connections migrate to (CVE-2026-46015): the sidecar does, with a connection to its listener that is closed at once; boot a kernel with the fix",
    );
    wake();
  }
}
