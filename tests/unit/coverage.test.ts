/** Groups that services cover, cgroups below cgroups, and missing capabilities. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { groupName, type Listener } from "../../loader/core/listener.ts";
import { parseSpec } from "../../loader/core/spec.ts";
import { missingCapabilities } from "../../loader/host/capabilities.ts";
import { isBelow } from "../../loader/host/cgroup.ts";
import { Journal } from "../../loader/log.ts";
import { explainNoMatch, matchGroups } from "../../loader/observe/coverage.ts";
import { Service } from "../../loader/service/service.ts";

const key = {
  netns: 7,
  family: "ipv4",
  address: "0.0.0.0",
  port: 80,
  ifindex: 0,
  v6only: false,
} as const;

function listener(change: Partial<Listener> = {}): Listener {
  return {
    cookie: 1n,
    key,
    protocol: "tcp",
    uid: 0,
    reuseport: true,
    group: 99n,
    groupSize: 1,
    programId: null,
    sockarray: false,
    keyed: false,
    incomingCpu: -1,
    owners: [{ pid: 10, fd: 3, comm: "nginx", startMs: 0 }],
    ...change,
  };
}

test("a filter chooses groups: all listeners of a group come with the one that passes", () => {
  const other = listener({ cookie: 2n, owners: [{ pid: 11, fd: 3, comm: "nginx", startMs: 0 }] });
  const [match, ...rest] = matchGroups([listener(), other], [parseSpec(":80")], { pid: 11 });
  assert.deepEqual([match?.members.length, match?.service, rest.length], [2, ":80", 0]);
  assert.deepEqual(matchGroups([listener(), other], [parseSpec(":80")], { pid: 12 }), []);
});

test("address, device, v6only and namespace make different groups", () => {
  const keys = [
    key,
    { ...key, netns: 8 },
    { ...key, address: "127.0.0.1" },
    { ...key, ifindex: 2 },
    { ...key, family: "ipv6", address: "::" } as const,
    { ...key, family: "ipv6", address: "::", v6only: true } as const,
  ];
  const names = keys.map(groupName);
  assert.equal(new Set(names).size, keys.length);
  for (const name of names) assert.match(name, /^[^./]+$/, "bpffs takes no dots");
});

test("a listener that does not match is explained", () => {
  const why = (change: Partial<Listener>, filter = {}, spec = ":80") =>
    explainNoMatch([listener(change)], [parseSpec(spec)], filter)[0];
  assert.match(
    why({ group: 0n, reuseport: false }) ?? "",
    /nginx \(pid 10\): it does not set SO_REUSEPORT/,
  );
  assert.match(why({ protocol: "udp" }) ?? "", /it is UDP/);
  assert.match(why({ protocol: "mptcp", group: 0n }) ?? "", /does not set SO_REUSEPORT/);
  assert.match(why({}, { netns: 1 }) ?? "", /another network namespace \(7; --netns all/);
  assert.match(why({}, { pid: 1 }) ?? "", /process 1 does not hold it/);
  assert.match(why({}, {}, "127.0.0.1:80") ?? "", /another address/);
  assert.equal(why({}, {}, ":81"), undefined);
});

test("a pid means one process: another one that gets its pid later does not pass", () => {
  const journal = new Journal(() => {});
  const options = { specs: [parseSpec(":80")], migrate: "newest", route: "kernel" } as const;
  const service = new Service({ ...options, netns: "all", filter: { pid: 10 } }, journal, () => {});
  const of = (startMs: number, pid = 10) => [
    listener({ owners: [{ pid, fd: 3, comm: "nginx", startMs }] }),
  ];
  assert.equal(service.nameFor(of(5, 11)), null);
  assert.equal(service.nameFor(of(5)), ":80");
  assert.equal(service.nameFor(of(5)), ":80");
  assert.equal(service.nameFor(of(6)), null);
});

test("a cgroup covers its children, not its neighbours", () => {
  assert.ok(isBelow("/a/b", "/a"));
  assert.ok(isBelow("/a", "/a/"));
  assert.ok(isBelow("/a", "/"));
  assert.ok(!isBelow("/ab", "/a"));
  assert.ok(!isBelow(null, "/a"));
});

test("missing capabilities are named; CAP_SYS_ADMIN stands for BPF and PERFMON", () => {
  const names = (set: bigint) => missingCapabilities(set).map(({ name }) => name);
  const bit = (n: bigint) => 1n << n;
  assert.deepEqual(names(0n), ["CAP_NET_ADMIN", "CAP_SYS_PTRACE", "CAP_PERFMON", "CAP_BPF"]);
  assert.deepEqual(names(bit(12n) | bit(19n) | bit(38n) | bit(39n)), []);
  assert.deepEqual(names(bit(12n) | bit(21n)), ["CAP_SYS_PTRACE"]);
});
