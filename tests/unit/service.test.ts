/** What a service watches: which binds are reported to the sidecar. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseSpec } from "../../loader/core/spec.ts";
import { Journal } from "../../loader/log.ts";
import { netnsInode } from "../../loader/net/netns_inode.ts";
import { EVERY_NETNS } from "../../loader/observe/bind_events.ts";
import { ServicesByPort } from "../../loader/service/ownership.ts";
import { Service, type ServiceOptions } from "../../loader/service/service.ts";

const OWN = netnsInode("/proc/self/ns/net");
const journal = new Journal(() => {});

function service(options: Partial<ServiceOptions>): Service {
  const specs = [parseSpec(":80"), parseSpec("127.0.0.1:443")];
  return new Service({ specs, migrate: "newest", route: "kernel", ...options }, journal, () => {});
}

const watched = (it: Service) => it.watched.map(({ port, netns }) => `${port} in ${netns}`);

test("the ports of its SPECs, in our network namespace unless it names another one", () => {
  assert.deepEqual(watched(service({})), [`80 in ${OWN}`, `443 in ${OWN}`]);
  const [all] = watched(service({ netns: "all" }));
  assert.equal(all, `80 in ${EVERY_NETNS}`);
  assert.deepEqual(watched(service({ filter: { netns: 7 } })), ["80 in 7", "443 in 7"]);
});

test("of a SPEC of every port, every port; services of a port come in their order", () => {
  const every = service({ specs: [parseSpec(":*"), parseSpec(":80")], name: "every" });
  assert.deepEqual(watched(every), [`null in ${OWN}`]);
  const [before, after] = ["before", "after"].map((name) => service({ name })) as [
    Service,
    Service,
  ];
  const byPort = new ServicesByPort([before, every, after]);
  assert.deepEqual(byPort.at(80), [before, every, after]);
  assert.deepEqual(byPort.at(81), [every]);
  assert.deepEqual(new ServicesByPort([before]).at(81), []);
});

test("a namespace by name: everywhere until it exists, then there, and nowhere after its end", () => {
  const later = service({ netns: "/no/such/file" });
  assert.equal(later.locate(), false);
  assert.deepEqual(watched(later), ["80 in 0", "443 in 0"]);

  const known = service({ netns: process.pid });
  assert.deepEqual(watched(known), ["80 in 0", "443 in 0"]);
  assert.equal(known.locate(), true);
  assert.equal(known.locate(), false);
  assert.deepEqual(watched(known), [`80 in ${OWN}`, `443 in ${OWN}`]);
  assert.equal(known.locate(new Set([OWN])), true);
  assert.deepEqual(watched(known), []);
  assert.equal(known.locate(), false);
});
