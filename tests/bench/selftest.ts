/** Attaches a program like the one of the kernel's selftest to a group. */
import type { BpfObject } from "../../loader/bpf/object.ts";
import type { Listener } from "../../loader/core/listener.ts";
import type { OneGroup } from "./one_group.ts";
import { fillSockets, mapOf, Subject } from "./subject.ts";

/** The program sends the connections of each listener to the next listener. */
export function selftest(group: OneGroup): Subject {
  const subject = Subject.reference(group, "syn_selftest", fill);
  subject.attach();
  return subject;
}

function fill(object: BpfObject, members: readonly Listener[]): void {
  fillSockets(object, members);
  using destinations = mapOf(object, "destinations");
  for (const [i, { cookie }] of members.entries()) {
    const key = Buffer.alloc(8);
    key.writeBigUInt64LE(cookie);
    const value = Buffer.alloc(4);
    value.writeUInt32LE((i + 1) % members.length);
    destinations.update(key, value);
  }
}
