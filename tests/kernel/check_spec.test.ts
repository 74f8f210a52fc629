/**
 * check SPEC: would attaching work, and if not, why and what to do. Nothing is changed (the scene
 * looks).
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { CAN_ATTACH } from "../../loader/check/host.ts";
import { checkVerdict, type Result } from "../../loader/check/probe.ts";
import type { SpecGroup } from "../../loader/check/spec_listeners.ts";
import { checkSpecs } from "../../loader/check/specs.ts";
import { parseSpec } from "../../loader/index.ts";
import * as libc from "../../loader/sys/libc.ts";
import { scene } from "../helpers/scene/scene.ts";

const NODELAY = { level: libc.IPPROTO_TCP, name: 1, value: 1 };

/** What a host that is fit says: check.test.ts asks this one. */
const host: readonly Result[] = [...CAN_ATTACH, "bpffs"].map((name) => ({
  name,
  use: "",
  required: true,
  outcome: "ok",
  detail: "",
}));

/** What becomes of one SPEC. */
async function look(spec: string): Promise<{ verdict: string; place: SpecGroup }> {
  const places = await checkSpecs([parseSpec(spec)], host);
  assert.equal(places.length, 1, places.map(({ name }) => name).join(", "));
  const [place] = places as [SpecGroup];
  return { verdict: checkVerdict(place.results), place };
}

function probe({ results }: SpecGroup, name: string): Result {
  const found = results.find((it) => it.name === name);
  assert.ok(found, `no probe '${name}' among ${results.map((it) => it.name).join(", ")}`);
  return found;
}

const text = (place: SpecGroup) => JSON.stringify(place, null, 1);

describe("a SPEC", () => {
  test(
    "of a good group",
    scene(async (s) => {
      const one = await s.listener();
      const two = await s.listener();
      const { verdict, place } = await look(s.spec);
      assert.equal(verdict, "fit", text(place));
      assert.equal(probe(place, "attach").outcome, "ok");
      for (const { process } of [one, two]) {
        assert.match(probe(place, "owners").detail, new RegExp(`\\b${process.pid}\\b`));
      }
    }),
  );

  test(
    "of a group that is managed",
    scene(async (s) => {
      await s.listener();
      await s.sidecar();
      const { verdict, place } = await look(s.spec);
      assert.equal(verdict, "fit", text(place));
      assert.match(probe(place, "other program").detail, /our program is attached/);
      assert.match(probe(place, "pins").detail, new RegExp(`by sidecar ${process.pid}`));
      assert.match(probe(place, "attach").detail, /not needed/);
    }),
  );

  test(
    "where listeners differ in their settings: which and whose",
    scene(async (s) => {
      await s.listener();
      const other = await s.listener({ options: [NODELAY] });
      const { verdict, place } = await look(s.spec);
      assert.equal(verdict, "fit with warnings", text(place));
      const { outcome, detail } = probe(place, "same settings");
      assert.equal(outcome, "no");
      assert.match(detail, /^2 classes .* differ in TCP_NODELAY$/);
      assert.match(detail, new RegExp(`\\b${other.process.pid}\\b`));
      assert.equal(probe(place, "attach").outcome, "ok");
    }),
  );

  test(
    "in another network namespace",
    scene(async (s) => {
      const server = await s.process(["unshare", "--net"]);
      await s.listener({ address: "0.0.0.0" }, server);
      const { verdict, place } = await look(`:${s.port}`);
      assert.equal(verdict, "fit", text(place));
      assert.match(probe(place, "namespace").detail, /another one/);
    }),
  );

  const hopeless: [what: string, options: object, name: string, says: RegExp][] = [
    ["without SO_REUSEPORT", { reuseport: false }, "SO_REUSEPORT", /--adopt --cgroup \/.*restart/],
    ["MPTCP without it", { mptcp: true, reuseport: false }, "SO_REUSEPORT", /--adopt --cgroup/],
    ["UDP", { udp: true }, "TCP", /uses UDP/],
  ];
  for (const [what, options, name, says] of hopeless) {
    test(
      `${what}: what to do`,
      scene(async (s) => {
        const listener = await s.listener(options);
        const { verdict, place } = await look(s.spec);
        assert.equal(verdict, "not fit", text(place));
        const { outcome, detail, advice } = probe(place, name);
        assert.equal(outcome, "no");
        assert.match(`${detail}: ${advice}`, says);
        assert.match(detail, new RegExp(`\\b${listener.process.pid}\\b`));
      }),
    );
  }

  test(
    "MPTCP: covered, with what that means",
    scene(async (s) => {
      const { process } = await s.listener({ mptcp: true });
      const { verdict, place } = await look(s.spec);
      assert.equal(verdict, "fit with warnings", text(place));
      assert.equal(probe(place, "attach").outcome, "ok");
      const { detail, advice } = probe(place, "MPTCP");
      assert.match(detail, new RegExp(`1 MPTCP .*${process.pid}.*the kernel's hash only`));
      assert.match(advice ?? "", /GODEBUG=multipathtcp=0/);
    }),
  );

  test(
    "with a foreign program, and one with another map",
    scene(async (s) => {
      const listener = await s.listener();
      await listener.filter();
      await listener.sockarray();
      const { verdict, place } = await look(s.spec);
      assert.equal(verdict, "not fit", text(place));
      assert.match(probe(place, "other program").detail, /classic BPF filter.*--replace/);
      assert.match(probe(place, "other map").detail, /REUSEPORT_SOCKARRAY/);
      assert.match(probe(place, "attach").detail, /refused: see other map, other program/);
    }),
  );

  test(
    "of nobody, and of another address",
    scene(async (s) => {
      const nobody = await look(s.spec);
      assert.equal(nobody.verdict, "not fit");
      assert.match(probe(nobody.place, "listeners").detail, /nothing listens on/);
      await s.listener({ address: "127.0.0.2" });
      const other = await look(s.spec);
      assert.match(probe(other.place, "listeners").detail, /but on 127\.0\.0\.2/);
    }),
  );

  test(
    "that the host cannot look at",
    scene(async (s) => {
      await s.listener();
      const [place] = await checkSpecs([parseSpec(s.spec)], []);
      assert.equal(place?.results[0]?.outcome, "unknown");
    }),
  );
});
