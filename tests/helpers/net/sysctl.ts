/** Sysctls of this network namespace. */
import { readFileSync, writeFileSync } from "node:fs";

/** Sets `name` (`net.ipv4.tcp_migrate_req`); returns a function that restores the old value. */
export function setSysctl(name: string, value: number): () => void {
  const path = `/proc/sys/${name.replaceAll(".", "/")}`;
  const before = readFileSync(path, "utf8");
  writeFileSync(path, String(value));
  return () => writeFileSync(path, before);
}
