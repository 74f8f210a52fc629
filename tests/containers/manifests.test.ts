/** deploy/kubernetes against the schemas of the API, offline, and against what they stand for. */
import assert from "node:assert/strict";
import { readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { parse } from "yaml";
import { TempDir } from "../helpers/host/child.ts";
import { BIN } from "../helpers/product/cli.ts";
import { output, ROOT } from "../install/installed.ts";

const DIRECTORY = join(ROOT, "deploy/kubernetes");
const SCHEMAS = join(ROOT, "tests/containers/schemas");
/** The module that has the type of each kind. */
const MODULES: Readonly<Record<string, string>> = {
  "v1 Namespace": "kubernetes-models/v1",
  "v1 ServiceAccount": "kubernetes-models/v1",
  "v1 ConfigMap": "kubernetes-models/v1",
  "apps/v1 DaemonSet": "kubernetes-models/apps/v1",
  "monitoring.coreos.com/v1 PodMonitor":
    "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1",
};

interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  // biome-ignore lint/suspicious/noExplicitAny: as in YAML
  readonly [key: string]: any;
}

let manifests: readonly Manifest[] = [];

before(async () => {
  const text = await output("kubectl", ["kustomize", DIRECTORY]);
  const all = [...text.split(/^---$/m), readFileSync(join(DIRECTORY, "podmonitor.yaml"), "utf8")];
  manifests = all.map((each) => parse(each));
});

function manifest(kind: string): Manifest {
  const found = manifests.find((each) => each.kind === kind);
  assert.ok(found, `there is no ${kind}`);
  return found;
}

const moduleOf = ({ apiVersion, kind }: Manifest): string => {
  const module = MODULES[`${apiVersion} ${kind}`];
  assert.ok(module, `${apiVersion} ${kind} has no schema here`);
  return module;
};

/** Returns what the schemas say of values: types, and what is required. */
async function schemaErrors(manifest: Manifest): Promise<string> {
  const script = `import { ${manifest.kind} } from ${JSON.stringify(moduleOf(manifest))};
    try { new ${manifest.kind}(${JSON.stringify(manifest)}).validate(); } catch (error) { console.log(error.message); }`;
  return await output("node", ["--input-type=module", "--eval", script], SCHEMAS);
}

/** Returns what the types say: they know every key, as the API server does (strict validation). */
async function typeErrors(all: readonly Manifest[]): Promise<string> {
  using dir = new TempDir();
  const file = dir.file("manifests.mts");
  symlinkSync(join(SCHEMAS, "node_modules"), dir.file("node_modules"));
  const lines = all.map((each, n) => {
    const type = `import(${JSON.stringify(moduleOf(each))}).I${each.kind}`;
    return `export const a${n}: ${type} = ${JSON.stringify(each)};`;
  });
  writeFileSync(file, lines.join("\n"));
  const options = ["--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext"];
  const tsc = join(ROOT, "node_modules/.bin/tsc");
  return await output(tsc, [...options, file], dir.path).catch(({ stdout }) => stdout);
}

test("every manifest is what the API expects", async () => {
  assert.equal(manifests.length, Object.keys(MODULES).length);
  for (const each of manifests) assert.equal(await schemaErrors(each), "", each.kind);
  assert.equal(await typeErrors(manifests), "");
});

test("a wrong value, a missing key and an unknown one are found", async () => {
  const changed = (change: (container: Record<string, unknown>) => void) => {
    const copy = structuredClone(manifest("DaemonSet"));
    change(copy["spec"].template.spec.containers[0]);
    return copy;
  };
  const wrong = changed((container) => Object.assign(container, { args: "attach" }));
  assert.match(await schemaErrors(wrong), /containers\/0\/args must be array/);
  const missing = changed((container) => delete container["name"]);
  assert.match(await schemaErrors(missing), /must have required property name/);
  const unknown = changed((container) => Object.assign(container, { imag: "x" }));
  assert.match(await typeErrors([unknown]), /'"imag"' does not exist/);
});

test("the pod has the capabilities of the unit, and no others", () => {
  const unit = readFileSync(join(ROOT, "deploy/reuseport-migrate.service"), "utf8");
  const bounding = /^CapabilityBoundingSet=(.*)$/m.exec(unit)?.[1]?.split(" ") ?? [];
  const { capabilities } =
    manifest("DaemonSet")["spec"].template.spec.containers[0].securityContext;
  assert.deepEqual(
    capabilities.add.map((name: string) => `CAP_${name}`),
    bounding,
  );
  assert.deepEqual(capabilities.drop, ["ALL"]);
});

test("the config file in the ConfigMap has no mistake", async () => {
  using dir = new TempDir();
  const { data } = manifest("ConfigMap");
  writeFileSync(dir.file("config.yaml"), data["reuseport-migrate.yaml"]);
  const line = ["attach", "--config", dir.file("config.yaml"), "--print-config"];
  assert.match(await output("node", [BIN, ...line]), /^ {2}ingress:$/m);
});

test("the PodMonitor selects the DaemonSet's pods and their port", () => {
  const { template } = manifest("DaemonSet")["spec"];
  const { selector, podMetricsEndpoints } = manifest("PodMonitor")["spec"];
  for (const [name, value] of Object.entries(selector.matchLabels)) {
    assert.equal(template.metadata.labels[name], value);
  }
  const ports = template.spec.containers[0].ports.map(({ name }: { name: string }) => name);
  assert.ok(ports.includes(podMetricsEndpoints[0].port));
});
