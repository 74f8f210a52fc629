/**
 * A short-lived listener of our own, for groups none of whose listeners can be used: the kernel lets
 * no program attach through MPTCP ones, and the others may belong to processes that hang. The
 * program stays with the group after this listener has closed.
 */
import type { GroupKey } from "../core/listener.ts";
import { Owned } from "../owned.ts";
import { attachReturnZero, SO_ATTACH_FILTER } from "../sys/classic_filter.ts";
import { listenIn } from "./listen.ts";

/**
 * Runs `use` on such a listener's fd. For that moment the kernel's hash gives it a share of the
 * SYNs. Its filter drops them unanswered, so clients retransmit them to the other listeners and its
 * queue stays empty.
 * @throws PermissionError, StandbyError
 */
export function throughShortLivedListener(
  key: GroupKey,
  uid: number,
  use: (fd: number) => void,
): void {
  const what = "a short-lived listener, as others are MPTCP or hang,";
  using own = new Owned();
  use(own.fd(listenIn(key, uid, what, 1, (it) => attachReturnZero(it, SO_ATTACH_FILTER))));
}
