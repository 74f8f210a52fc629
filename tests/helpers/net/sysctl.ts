/** Sysctls of this network namespace. */
import { readFileSync, writeFileSync } from "node:fs";

/** Sets `name` (`net.ipv4.tcp_migrate_req`); the result puts the old value back. */
export function setSysctl(name: string, value: number): () => void {
  const path = `/proc/sys/${name.replaceAll(".", "/")}`;
  const before = readFileSync(path, "utf8");
  writeFileSync(path, String(value));
  return () => writeFileSync(path, before);
}
