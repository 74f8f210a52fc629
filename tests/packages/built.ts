/** The packages under test, which `make test-packages` has built, and a later version of the deb. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { output, ROOT } from "../install/installed.ts";

const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
  version: string;
};
const PACKAGES = join(ROOT, "dist/packages");

/** Returns the path of the deb. @requires `make deb` */
export async function deb(): Promise<string> {
  const arch = (await output("dpkg", ["--print-architecture"])).trim();
  return join(PACKAGES, `reuseport-migrate_${version}-1_${arch}.deb`);
}

/** Returns the path of the tar.gz. @requires `make tarball` */
export async function tarball(): Promise<string> {
  const machine = (await output("uname", ["-m"])).trim();
  return join(PACKAGES, `reuseport-migrate-${version}-linux-${machine}.tar.gz`);
}

/** Writes the same package with another version number to `path`. */
export async function successor(from: string, into: string, dir: string): Promise<void> {
  await output("dpkg-deb", ["-R", from, dir]);
  const control = join(dir, "DEBIAN/control");
  const text = readFileSync(control, "utf8");
  writeFileSync(control, text.replace(/^Version: .*$/m, `Version: ${NEXT}`));
  await output("dpkg-deb", ["--root-owner-group", "-Znone", "-b", dir, into]);
}

export const FIRST = `${version}-1`;
export const NEXT = `${version}-2`;
