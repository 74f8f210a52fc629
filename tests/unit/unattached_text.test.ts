/** What `status SPEC` says of listeners that are not attached, and of SPECs without any. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { statusJson } from "../../cli/output/status_json.ts";
import { statusText } from "../../cli/output/status_text.ts";
import { parseSpec } from "../../loader/core/spec.ts";
import type { Listener, Status } from "../../loader/index.ts";
import { groupStatus, statusOf } from "../helpers/fixtures.ts";

const owner = (pid: number) => ({ pid, fd: 3, comm: "nginx", startMs: 0 });

/** A listener of nginx on `0.0.0.0:PORT`. */
function listener(port: number, change: Partial<Listener> = {}): Listener {
  const key = { netns: 7, family: "ipv4", address: "0.0.0.0", port, ifindex: 0, v6only: false };
  return {
    cookie: 1n,
    key: key as Listener["key"],
    protocol: "tcp",
    uid: 0,
    reuseport: true,
    group: 1n,
    groupSize: 1,
    programId: null,
    sockarray: false,
    owners: [owner(10), owner(11), owner(12)],
    ...change,
  } as Listener;
}

const specs = (...texts: string[]) => texts.map(parseSpec);
const plain = { reuseport: false, group: 0n };

test("equal listeners are one line; those without SO_REUSEPORT and silent SPECs are named", () => {
  const status: Status = {
    ...statusOf([groupStatus({})], 0),
    unattached: specs(":8443", ":8444", ":9999"),
    unmanaged: [listener(8443), listener(8443, { cookie: 2n }), listener(8444, plain)],
  };
  const [, rest] = statusText(status, { width: 100 }).split("\n\n");
  assert.deepEqual(rest?.split("\n"), [
    "not attached",
    "  0.0.0.0:8443  10 nginx +2, netns 7 (2 listeners)",
    "  0.0.0.0:8444  10 nginx +2, netns 7, without SO_REUSEPORT (see --adopt)",
    "  :9999  nothing listens",
  ]);
  const json = JSON.parse(JSON.stringify(statusJson(status)));
  assert.deepEqual(json.unattached, [":8443", ":8444", ":9999"]);
  assert.deepEqual(
    json.unmanaged.map(({ reuseport }: { reuseport: boolean }) => reuseport),
    [true, true, false],
  );
});

test("of a SPEC alone that nothing matches, only that is said", () => {
  const status = { ...statusOf([], 0), unattached: specs(":9999") };
  assert.equal(statusText(status, { width: 100 }), "not attached\n  :9999  nothing listens");
});

test("a sidecar without a group is named", () => {
  const sidecars = [
    { pid: 4711, groups: 1 },
    { pid: 4712, groups: 0 },
  ];
  const status = { ...statusOf([], 0), sidecars };
  const text = "nothing is attached\n\nsidecar 4712 runs and manages no group";
  assert.equal(statusText(status, { width: 100 }), text);
  assert.deepEqual(statusJson(status).sidecars, sidecars);
});
