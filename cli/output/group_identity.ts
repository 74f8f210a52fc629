/** What JSON says of a group that a command changed. Pure. */
import { groupKeyOf } from "../../loader/core/listener.ts";

/** Returns the group's name, which is its id, and the parts of that. */
export function groupIdentity(group: string) {
  const { netns = null, family = null, address = null, port = null } = groupKeyOf(group) ?? {};
  return { group, netns, family, address, port };
}
