/** What the packages bundle: npm packages that run, and a Node runtime; read from the lock files. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

export interface Bundled {
  readonly name: string;
  readonly version: string;
  /** SPDX expression. */
  readonly license: string;
  /** SHA-512 of the package's archive, hexadecimal. */
  readonly sha512: string;
  /** Below the repository. */
  readonly path: string;
  /** Names of the packages it requires. */
  readonly requires: readonly string[];
}

interface Locked {
  readonly version: string;
  readonly integrity: string;
  readonly license: string;
  readonly dev?: boolean;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/** Returns the packages of a lock file that run and are installed for this platform. */
function locked(directory: string): Bundled[] {
  const { packages } = JSON.parse(readFileSync(`${ROOT}${directory}package-lock.json`, "utf8")) as {
    packages: Readonly<Record<string, Locked>>;
  };
  return Object.entries(packages)
    .filter(([path, { dev }]) => path !== "" && !dev && existsSync(`${ROOT}${directory}${path}`))
    .map(([path, { version, license, integrity, dependencies, optionalDependencies }]) => ({
      name: path.replace(/^.*node_modules\//, ""),
      version,
      license,
      sha512: Buffer.from(integrity.replace("sha512-", ""), "base64").toString("hex"),
      path: `${directory}${path}`,
      requires: Object.keys({ ...dependencies, ...optionalDependencies }),
    }));
}

export const npmPackages = (): Bundled[] => locked("");

export function nodeRuntime(): Bundled {
  const [node] = locked("packaging/node/");
  if (!node) throw new Error("the Node runtime is not installed: run 'make deb'");
  return node;
}

/** Returns the text of a package's licence. @throws Error if it has none */
export function licenceText({ path, name }: Bundled): string {
  const file = readdirSync(`${ROOT}${path}`).find((it) => /^licen[cs]e/i.test(it));
  if (file) return readFileSync(`${ROOT}${path}/${file}`, "utf8");
  // koffi's platform packages are parts of koffi.
  if (name.startsWith("@koromix/koffi-")) {
    return readFileSync(`${ROOT}node_modules/koffi/LICENSE.txt`, "utf8");
  }
  throw new Error(`${name} has no licence text`);
}
