/** What may follow an option: files, units, words, or anything. Pure. */
import type { Options } from "yargs";

const FILES = ["bpffs", "cgroup", "config", "listen", "netns", "store", "web-config"];
const UNITS = ["unit"];
const WORDS: Readonly<Record<string, readonly string[]>> = {
  metrics: ["off"],
  netns: ["all", "own"],
  "ready-check": ["tcp"],
  "stop-signal": ["SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGWINCH"],
};

export interface Values {
  readonly files: boolean;
  readonly units: boolean;
  readonly words: readonly string[];
}

/** Returns the values that a shell may insert after an option; null if it takes none. */
export function valuesOf(name: string, options: Options): Values | null {
  if (options.type === "boolean") return null;
  return {
    files: FILES.includes(name),
    units: UNITS.includes(name),
    words: options.choices?.map(String) ?? WORDS[name] ?? [],
  };
}
