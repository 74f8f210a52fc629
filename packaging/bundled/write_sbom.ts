/** Writes the software bill of materials of a release to stdout: CycloneDX 1.5, JSON. */
import { execFileSync } from "node:child_process";
import { version } from "../../cli/version.ts";
import { type Bundled, nodeRuntime, npmPackages, ROOT } from "./bundled.ts";

const NAME = "reuseport-migrate";
const purl = (name: string, version: string): string =>
  `pkg:npm/${name.replace("@", "%40")}@${version}`;
const ref = ({ path, version }: Bundled): string => `${path}@${version}`;

function component(each: Bundled) {
  return {
    "bom-ref": ref(each),
    type: "library",
    name: each.name,
    version: each.version,
    purl: purl(each.name, each.version),
    hashes: [{ alg: "SHA-512", content: each.sha512 }],
    licenses: [{ license: { id: each.license } }],
  };
}

/** Returns what is linked into Node, as the binary itself says. */
function partsOf({ path }: Bundled) {
  const versions = JSON.parse(
    execFileSync(`${ROOT}${path}/bin/node`, ["-p", "JSON.stringify(process.versions)"], {
      encoding: "utf8",
    }),
  ) as Readonly<Record<string, string>>;
  return Object.entries(versions)
    .filter(([name]) => !["modules", "napi", "unicode", "tz", "cldr"].includes(name))
    .map(([name, version]) => ({ type: "library", name, version }));
}

const packages = npmPackages();
const node = nodeRuntime();
const root = `${NAME}@${version()}`;
const refs = (names: readonly string[], from: string): string[] =>
  names.flatMap((name) => {
    const nested = packages.find(({ path }) => path === `${from}/node_modules/${name}`);
    const found = nested ?? packages.find(({ path }) => path === `node_modules/${name}`);
    return found ? [ref(found)] : [];
  });
const required = new Set(packages.flatMap(({ requires, path }) => refs(requires, path)));

process.stdout.write(
  `${JSON.stringify(
    {
      bomFormat: "CycloneDX",
      specVersion: "1.5",
      version: 1,
      metadata: {
        timestamp: new Date(Number(process.env["SOURCE_DATE_EPOCH"] ?? 0) * 1000).toISOString(),
        component: {
          "bom-ref": root,
          type: "application",
          name: NAME,
          version: version(),
          purl: purl(NAME, version()),
          licenses: [{ license: { id: "MIT" } }],
        },
      },
      components: [
        ...packages.map(component),
        { ...component(node), type: "platform", components: partsOf(node) },
      ],
      dependencies: [
        {
          ref: root,
          dependsOn: [...packages.map(ref).filter((it) => !required.has(it)), ref(node)],
        },
        ...packages.map((each) => ({ ref: ref(each), dependsOn: refs(each.requires, each.path) })),
      ],
    },
    null,
    2,
  )}\n`,
);
