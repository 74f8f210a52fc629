/** Probes of one group: would attaching to it work? */
import { existsSync } from "node:fs";
import { lockHolder, type PinTree } from "../bpf/pin_tree.ts";
import { pinnedProgramId } from "../bpf/program.ts";
import { endpoint, isSelectable, type Listener } from "../core/listener.ts";
import { Group } from "../group/group.ts";
import { effectiveCapabilities } from "../host/capabilities.ts";
import { hasLockedFilter, refuseForeign } from "../manage/attach.ts";
import { countUnselectable, mptcpOf } from "../manage/members.ts";
import { borrow } from "../net/borrow.ts";
import { netnsInode } from "../net/netns_inode.ts";
import { optionsDigest, type SocketOptions, socketOptionsOf } from "../net/socket_options.ts";
import { ownersText } from "./owners.ts";
import { type Finding, no, ok, type Probe, unknown } from "./probe.ts";

const CAP_SYS_ADMIN = 1n << 21n;

/** @param pinTree where it may be pinned; null: there is no bpffs */
export function groupProbes(
  name: string,
  members: readonly Listener[],
  pinTree: PinTree | null,
): Probe[] {
  const directory = pinTree?.has(name) ? pinTree.directory(name) : null;
  const probe = (probeName: string, use: string, required: boolean, run: () => Finding): Probe => ({
    name: probeName,
    use,
    required,
    run,
  });
  return [
    probe("owners", "to borrow from", true, () => ok(ownersText(owners(members)))),
    probe("namespace", "where a standby is opened", false, () => namespaceOf(members)),
    probe("same uid", "to be one group", true, () => sameUid(members)),
    probe("same settings", "to be compatible", false, () => sameSettings(members)),
    probe("MPTCP", "that all can be selected", false, () => allSelectable(members)),
    probe("filters", "to be attached through", true, () => notLocked(members)),
    probe("other map", "to be put into ours", true, () => inNoOtherMap(members)),
    probe("other program", "to attach ours", true, () => noOtherProgram(members, directory)),
    probe("pins", "to be ours to pin", true, () => pinned(directory)),
  ];
}

const owners = (members: readonly Listener[]) => members.flatMap((member) => member.owners);

function namespaceOf(members: readonly Listener[]): Finding {
  const inode = members[0]?.key.netns ?? 0;
  if (inode === netnsInode("/proc/self/ns/net")) return ok(`${inode}, ours`);
  const may = (effectiveCapabilities() & CAP_SYS_ADMIN) !== 0n;
  return may
    ? ok(`${inode}, not ours: covered all the same`)
    : no(`${inode}, not ours: covered, but not held`, "for --hold there add CAP_SYS_ADMIN");
}

function sameUid(members: readonly Listener[]): Finding {
  const uids = [...new Set(members.map(({ uid }) => uid))];
  if (uids.length === 1) return ok(`uid ${uids[0]}`);
  return no(`uids ${uids.join(", ")}: listeners of different users are never one group`);
}

/** Borrows each listener, as attaching does, and compares what its connections inherit. */
function sameSettings(members: readonly Listener[]): Finding {
  if (!members.some(isSelectable)) return unknown("those of MPTCP listeners cannot be compared");
  const classes = new Map<bigint, { settings: SocketOptions; members: Listener[] }>();
  for (const member of members.filter(isSelectable)) {
    const settings = socketOptionsOf(member);
    if (settings === undefined) continue; // it has just left
    const digest = optionsDigest(settings);
    const known = classes.get(digest) ?? { settings, members: [] };
    known.members.push(member);
    classes.set(digest, known);
  }
  if (classes.size === 0) return unknown("all listeners have just left");
  if (classes.size === 1) return ok(`one class of ${members.filter(isSelectable).length}`);
  const all = [...classes.values()];
  const names = new Set(all.flatMap(({ settings }) => Object.keys(settings)));
  const differ = [...names].filter((it) => new Set(all.map((c) => c.settings[it])).size > 1);
  const who = all.map((it) => ownersText(owners(it.members))).join(" and ");
  return no(
    `${classes.size} classes (${who}) differ in ${differ.join(", ")}`,
    "set them alike; what migrates prefers its own class (attach --settings)",
  );
}

function allSelectable(members: readonly Listener[]): Finding {
  const count = countUnselectable(members);
  if (count === 0) return ok("all listeners of the group can be selected");
  const mptcp = mptcpOf(members);
  const unseen = count - mptcp.length;
  const what = [
    ...(mptcp.length > 0 ? [`${mptcp.length} MPTCP (${ownersText(owners(mptcp))})`] : []),
    ...(unseen > 0 ? [`${unseen} of processes we cannot see`] : []),
  ].join(" and ");
  return no(
    `${what}: covered, but reached by the kernel's hash only, so there is no --hold`,
    mptcp.length > 0 ? "turn MPTCP off to have all of it (Go: GODEBUG=multipathtcp=0)" : undefined,
  );
}

/** Asks each listener that a program could be attached through. */
function notLocked(members: readonly Listener[]): Finding {
  const plain = members.filter(isSelectable);
  const locked = plain.filter((member) => borrow(member, hasLockedFilter));
  if (locked.length === 0) return ok("no listener has SO_LOCK_FILTER");
  const who = ownersText(owners(locked));
  if (locked.length < plain.length) return ok(`SO_LOCK_FILTER on ${who}, but not on all`);
  return no(`${who} has SO_LOCK_FILTER: nobody attaches through it`, "start it without");
}

function inNoOtherMap(members: readonly Listener[]): Finding {
  const taken = members.filter(({ sockarray }) => sockarray);
  if (taken.length === 0) return ok("in no REUSEPORT_SOCKARRAY");
  const who = ownersText(owners(taken));
  return no(`${who} is in a REUSEPORT_SOCKARRAY, which excludes ours`, "remove it there first");
}

/** @throws ForeignProgramError, which says what is there and what to do */
function noOtherProgram(members: readonly Listener[], directory: string | null): Finding {
  const ours = directory === null ? null : pinnedProgramId(directory);
  refuseForeign(members, ours);
  const [attached] = members.filter(({ programId }) => programId !== null);
  return ok(attached ? `ours is attached (${attached.programId})` : "none is attached");
}

/** @throws AbiMismatchError, which says what to do */
function pinned(directory: string | null): Finding {
  if (directory === null || !existsSync(directory)) return ok("nothing is pinned yet");
  using group = Group.open(directory);
  const holder = lockHolder(directory);
  const { service, key } = group.record;
  const what = `${endpoint(key)} as service ${service}`;
  return ok(holder ? `${what}, by sidecar ${holder}` : `${what}, without a sidecar`);
}
