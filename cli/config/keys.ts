/** The keys of a service in a config file, made from its options: `hold-max` stands at `hold.max`. */
import { OPTION_NAMES, type OptionName, optionOf, serviceOptions } from "../options/service.ts";

/** Where an option stands. */
export function keyOf(option: OptionName): string {
  return optionOf(option).at ?? option;
}

/** All of them. */
export const SERVICE_KEYS = ["listen", ...OPTION_NAMES.map(keyOf)];

/** What may stand under a key: by the key below it, or `""` for the value itself. */
export function optionsAt(key: string): Map<string, OptionName> {
  const found = new Map<string, OptionName>();
  for (const option of OPTION_NAMES) {
    const [head, ...rest] = keyOf(option).split(".");
    if (head !== key) continue;
    found.set(rest.join("."), option);
    // `hold: 10s` is short for `hold: {time: 10s}`.
    if (option === key) found.set("", option);
  }
  return found;
}

/** The command line's words in those of a file: `--hold-max must be ...` is said of the key `hold.max`. */
export function inFile(message: string, key: string): string {
  const text = message.replaceAll(/--([a-z-]+)/g, (_, name: string) =>
    name in serviceOptions ? keyOf(name as OptionName) : name,
  );
  const [, rest] = new RegExp(`^${key}:? (?!and )(.*)$`, "s").exec(text) ?? [];
  return rest ?? text;
}
