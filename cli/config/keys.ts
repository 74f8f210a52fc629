/** The keys of a service in a config file, made from its options: `hold-max` is `hold.max`. */
import { OPTION_NAMES, type OptionName, optionOf } from "../options/service.ts";

/** Returns the key of an option, below the service. */
export function keyOf(option: OptionName): string {
  return optionOf(option).key ?? option;
}

/** All keys of a service. */
export const SERVICE_KEYS = ["listen", ...OPTION_NAMES.map(keyOf)];

/** Returns the options at a key: by the key below it, or by `""` for the value itself. */
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
