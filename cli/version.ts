/** Version of this package, from its package.json. */
import { readFileSync } from "node:fs";

export function version(): string {
  const url = new URL("../../package.json", import.meta.url);
  return JSON.parse(readFileSync(url, "utf8")).version;
}
