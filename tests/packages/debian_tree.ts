/** Trees of Debian releases, made once by debootstrap and then unpacked for each test. */
import { existsSync, mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { TempDir } from "../helpers/host/child.ts";
import { output, ROOT } from "../install/installed.ts";

export type Suite = "bookworm" | "trixie";

const CACHE = join(ROOT, "dist/debian");

/** A host with systemd and the servers under test. */
export const HOST_PACKAGES = [
  ...["systemd", "systemd-sysv", "dbus", "iproute2", "procps", "curl", "man-db"],
  ...["nginx-light", "haproxy", "libbpf1"],
] as const;

/**
 * Makes a system of the release in the new directory `into`.
 * @param packages beyond the minimal ones
 */
export async function debianTree(
  suite: Suite,
  into: string,
  packages: readonly string[] = [],
): Promise<void> {
  const cached = join(CACHE, `${[suite, ...packages].join("+")}.tar`);
  if (!existsSync(cached)) await bootstrap(suite, cached, packages);
  mkdirSync(into);
  await output("tar", ["-C", into, "--numeric-owner", "-xpf", cached]);
  await output("cp", ["-L", "/etc/resolv.conf", join(into, "etc/resolv.conf")]);
}

async function bootstrap(suite: Suite, cached: string, packages: readonly string[]): Promise<void> {
  using dir = new TempDir();
  const root = dir.file("root");
  const include = packages.length > 0 ? [`--include=${packages.join(",")}`] : [];
  await output("debootstrap", ["--variant=minbase", ...include, suite, root]);
  await output("cp", ["-L", "/etc/resolv.conf", join(root, "etc/resolv.conf")]);
  await output("chroot", [root, "apt-get", "-qq", "update"]);
  mkdirSync(CACHE, { recursive: true });
  await output("tar", ["-C", root, "--numeric-owner", "-cf", `${cached}.new`, "."]);
  renameSync(`${cached}.new`, cached);
}
