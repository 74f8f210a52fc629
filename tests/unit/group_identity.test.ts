/** The name of a group, which is its id, and what people and JSON see instead. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { groupIdentity } from "../../cli/output/group_identity.ts";
import { type GroupKey, groupKeyOf, groupName } from "../../loader/core/listener.ts";
import { ownNetns } from "../../loader/net/netns_inode.ts";
import { placeOfGroup } from "../../loader/observe/netns_label.ts";

const KEY: GroupKey = {
  netns: 4026532178,
  family: "ipv4",
  address: "127.0.0.1",
  port: 80,
  ifindex: 0,
  v6only: false,
};
const KEYS: readonly GroupKey[] = [
  KEY,
  { ...KEY, ifindex: 12 },
  { ...KEY, family: "ipv6", address: "::", v6only: true },
  { ...KEY, family: "ipv6", address: "2001:db8::1", ifindex: 3, v6only: true },
  { ...KEY, family: "ipv6", address: "::ffff:192.0.2.7" },
];

test("a group's name says its key, whole", () => {
  for (const key of KEYS) assert.deepEqual(groupKeyOf(groupName(key)), key, groupName(key));
  for (const name of ["", "check-12", "7-ipv4-::-80", "7-ipv4-1_2_3-80", "x-ipv4-1_2_3_4-80"]) {
    assert.equal(groupKeyOf(name), null, name);
  }
});

test("people see an address, and the namespace if it is another one", () => {
  const here = { ...KEY, netns: ownNetns() };
  assert.equal(placeOfGroup(groupName(here)), "127.0.0.1:80");
  assert.equal(placeOfGroup(groupName({ ...KEY, netns: 7 })), "127.0.0.1:80 in netns 7");
  assert.equal(placeOfGroup("not a group\x1b"), "not a group\\x1b");
});

test("JSON has the id and its parts", () => {
  const group = groupName(KEY);
  const { netns, family, address, port } = KEY;
  assert.deepEqual(groupIdentity(group), { group, netns, family, address, port });
  assert.deepEqual(groupIdentity("x"), {
    group: "x",
    ...{ netns: null, family: null, address: null, port: null },
  });
});
