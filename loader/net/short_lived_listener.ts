/**
 * A fleeting listener: a plain one of our own, in a group whose listeners are all MPTCP and cannot be
 * attached through. The program stays with the group when it has closed, a moment later.
 */
import type { GroupKey } from "../core/listener.ts";
import { attachReturnZero, SO_ATTACH_FILTER } from "../sys/classic_filter.ts";
import * as libc from "../sys/libc.ts";
import { listenIn } from "./listen.ts";

/**
 * Runs `use` on such a listener's fd. The kernel's hash gives it a share of the SYNs of that moment:
 * its filter drops them, unanswered, so that clients retransmit them to the others
 * and there is nothing in its queue to lose, with or without a program.
 * @throws PermissionError, StandbyError
 */
export function throughShortLivedListener(
  key: GroupKey,
  uid: number,
  use: (fd: number) => void,
): void {
  const what = "a short-lived listener, as MPTCP ones cannot be attached through,";
  const fd = listenIn(key, uid, what, 1, (it) => attachReturnZero(it, SO_ATTACH_FILTER));
  try {
    use(fd);
  } finally {
    libc.close(fd);
  }
}
