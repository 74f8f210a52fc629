/** Paths of cgroups, whose names any user may choose below a delegated one. */
import assert from "node:assert/strict";
import { cgroupLabel, cgroupLabels, ownerText } from "../../loader/host/cgroup_label.ts";
import { printable } from "../../loader/printable.ts";
import type { Random } from "../helpers/random.ts";
import { fuzz } from "./fuzz.ts";
import { mutateText } from "./mutate.ts";

const ID = "0123456789abcdef".repeat(4);
const UID = "2f48b1ea-0c1e-4b0b-8a55-6d1c0d8b3f10";
const PARTS = [
  ...["system.slice", "nginx.service", "user@1000.service", "session-3.scope", "..", "docker", ID],
  ...[`docker-${ID}.scope`, `libpod-${ID}.scope`, "container", `cri-containerd-${ID}.scope`],
  ...["lxc.payload.web", "kubepods", `pod${UID}`, "\x1b[2J", "\u202e", "a".repeat(255)],
  ...["\u{1f600}".repeat(63), `a${"\u{1f600}".repeat(200)}.service`],
  `kubepods-pod${UID.replaceAll("-", "_")}.slice`,
];

function path(random: Random): string {
  const text = `/${random.list(6, () => random.pick(PARTS)).join("/")}`;
  return random.oneIn(3) ? text : mutateText(random, text, ["/", "-", ":", ".scope", ...PARTS]);
}

fuzz("path of a cgroup", {
  make: path,
  outcomes: ["nothing", "unit", "container", "pod"],
  check(text) {
    const labels = cgroupLabels(text);
    const { unit, container, runtime, pod } = labels;
    for (const label of [unit, container, pod, ownerText(labels), cgroupLabel(text) ?? ""]) {
      if (label === null) continue;
      assert.equal(label, printable(label), "it can change a terminal or a line");
      assert.ok(label.length <= 3 * 130, `${label.length} characters`);
    }
    assert.equal(container === null, runtime === null);
    if (pod !== null) assert.match(pod, /^[0-9a-f-]{32,36}$/);
    const first = cgroupLabel(text);
    assert.equal(first === null, (unit ?? container) === null);
    if (pod !== null) return "pod";
    if (container !== null) return "container";
    return unit === null ? "nothing" : "unit";
  },
});
