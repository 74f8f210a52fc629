/** A group under a program of the shape of the kernel's own selftest. */

import type { BpfObject } from "../../loader/bpf/object.ts";
import type { Listener } from "../../loader/core/listener.ts";
import type { OneGroup } from "./one_group.ts";
import { fillSockets, mapOf, Subject } from "./subject.ts";

/** Each listener's connections go to the next one. */
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
