/** The timeline of a run, and the file it is written to. */
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { formatEndpoint } from "../../loader/core/address.ts";
import { matchesSpec, type Spec } from "../../loader/core/spec.ts";
import type { Status } from "../../loader/operate/status.ts";
import { OptionError } from "../options/values.ts";
import { chartText } from "../timeline/chart.ts";
import { Timeline } from "../timeline/timeline.ts";
import { timelinePage } from "../timeline/timeline_page.ts";

/** Time between two readings, ms. */
export const RECORD_MS = 10;

export class Recording {
  /** undefined: none is written. */
  readonly #path: string | undefined;
  readonly #specs: readonly Spec[];
  readonly #startMs = performance.now();
  readonly #beganMs = Date.now();
  readonly #timeline = new Timeline(this.#startMs);
  #commandMs: number | null = null;

  /** @throws OptionError if the file cannot be written: before the command is run */
  constructor(path: string | undefined, specs: readonly Spec[]) {
    this.#path = path;
    this.#specs = specs;
    if (path === undefined) return;
    try {
      writeFileSync(this.#unfinished, "");
      rmSync(this.#unfinished);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      throw new OptionError("--html", `${path} cannot be written (${code}): name another file`);
    }
  }

  get #unfinished(): string {
    return `${this.#path}.${process.pid}.new`;
  }

  get #elapsedMs(): number {
    return performance.now() - this.#startMs;
  }

  add({ groups }: Status): void {
    const measured = groups.filter(
      ({ key }) => this.#specs.length === 0 || this.#specs.some((spec) => matchesSpec(spec, key)),
    );
    this.#timeline.add(measured, performance.now());
  }

  commandEnded(): void {
    this.#commandMs = this.#elapsedMs;
  }

  /** Returns the timelines as text. @param width columns */
  text(width: number): string {
    const endMs = this.#elapsedMs;
    return this.#timeline.tracks
      .map((track) => {
        const { key } = track.last;
        const name = formatEndpoint(key.family, key.address, key.port);
        const title = `${name}: ${(endMs / 1_000).toFixed(1)} s`;
        return [title, ...chartText(track, endMs, width)].map((line) => line.trimEnd()).join("\n");
      })
      .join("\n");
  }

  /** Replaces the file as a whole, if there is one. */
  write(title: string, verdict: string, isBad: boolean): void {
    if (this.#path === undefined) return;
    const page = timelinePage({
      title,
      verdict,
      isBad,
      host: hostname(),
      beganMs: this.#beganMs,
      endMs: this.#elapsedMs,
      commandMs: this.#commandMs,
      tracks: this.#timeline.tracks,
    });
    writeFileSync(this.#unfinished, page);
    renameSync(this.#unfinished, this.#path);
  }
}
