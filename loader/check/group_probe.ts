/** Probes of one group: whether attaching to it would work. */
import { existsSync } from "node:fs";
import { lockHolder } from "../bpf/directory_lock.ts";
import type { PinTree } from "../bpf/pin_tree.ts";
import { pinnedProgramId } from "../bpf/program.ts";
import { endpoint, isSelectable, type Listener } from "../core/listener.ts";
import { Group } from "../group/group.ts";
import { countUnselectable, mptcpOf } from "../hold/members.ts";
import { CAP_SYS_ADMIN, hasCapability } from "../host/capabilities.ts";
import { hasLockedFilter, refuseForeign } from "../manage/attach.ts";
import { socketOptionsOf } from "../net/foreign_listener.ts";
import { ownNetns } from "../net/netns_inode.ts";
import { optionsDigest, type SocketOptions } from "../net/socket_options.ts";
import { ownersText } from "./owners.ts";
import { type Finding, no, ok, type Probe, unknown } from "./probe.ts";

/** @param pinTree null without bpffs */
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
    probe("owners", "to borrow listeners", true, () => ok(ownersText(owners(members)))),
    probe("namespace", "to open a standby", false, () => namespaceOf(members)),
    probe("same uid", "to be one group", true, () => sameUid(members)),
    probe("same settings", "to be compatible", false, () => sameSettings(members)),
    probe("MPTCP", "to select every listener", false, () => allSelectable(members)),
    probe("filters", "to attach the program", true, () => notLocked(members)),
    probe("other map", "to fill the sockmap", true, () => inNoOtherMap(members)),
    probe("other program", "to attach the program", true, () => noOtherProgram(members, directory)),
    probe("pins", "to pin the group", true, () => pinned(directory)),
  ];
}

const owners = (members: readonly Listener[]) => members.flatMap((member) => member.owners);

function namespaceOf(members: readonly Listener[]): Finding {
  const inode = members[0]?.key.netns ?? 0;
  if (inode === ownNetns()) return ok(`${inode}, this process's`);
  return hasCapability(CAP_SYS_ADMIN)
    ? ok(`${inode}, another one`)
    : no(`${inode}, another one: attach works, --hold does not`, "grant CAP_SYS_ADMIN for --hold");
}

function sameUid(members: readonly Listener[]): Finding {
  const uids = [...new Set(members.map(({ uid }) => uid))];
  if (uids.length === 1) return ok(`uid ${uids[0]}`);
  return no(`uids ${uids.join(", ")}: listeners of different users are never one group`);
}

/** Borrows each listener, as attach does, and compares the options that its connections inherit. */
function sameSettings(members: readonly Listener[]): Finding {
  if (!members.some(isSelectable)) return unknown("options of MPTCP listeners cannot be compared");
  const classes = new Map<bigint, { settings: SocketOptions; members: Listener[] }>();
  for (const member of members.filter(isSelectable)) {
    const settings = socketOptionsOf(member);
    if (settings === undefined) continue; // it has just left
    const digest = optionsDigest(settings);
    const known = classes.get(digest) ?? { settings, members: [] };
    known.members.push(member);
    classes.set(digest, known);
  }
  if (classes.size === 0) return unknown("all listeners have closed meanwhile");
  if (classes.size === 1) return ok(`one class of ${members.filter(isSelectable).length}`);
  const all = [...classes.values()];
  const names = new Set(all.flatMap(({ settings }) => Object.keys(settings)));
  const differ = [...names].filter((it) => new Set(all.map((c) => c.settings[it])).size > 1);
  const processes = all.map((it) => ownersText(owners(it.members))).join(" and ");
  return no(
    `${classes.size} classes (${processes}) differ in ${differ.join(", ")}`,
    "set the same options; connections prefer listeners of their class (attach --settings)",
  );
}

function allSelectable(members: readonly Listener[]): Finding {
  const count = countUnselectable(members);
  if (count === 0) return ok("all listeners of the group can be selected");
  const mptcp = mptcpOf(members);
  const invisible = count - mptcp.length;
  const listeners = [
    ...(mptcp.length > 0 ? [`${mptcp.length} MPTCP (${ownersText(owners(mptcp))})`] : []),
    ...(invisible > 0 ? [`${invisible} of invisible processes`] : []),
  ].join(" and ");
  return no(
    `${listeners}: reached by the kernel's hash only, and without --hold`,
    mptcp.length > 0 ? "turn MPTCP off (Go: GODEBUG=multipathtcp=0)" : undefined,
  );
}

/** Reads SO_LOCK_FILTER of each listener that a program could be attached through. */
function notLocked(members: readonly Listener[]): Finding {
  const plain = members.filter(isSelectable);
  const locked = plain.filter(hasLockedFilter);
  if (locked.length === 0) return ok("no listener has SO_LOCK_FILTER");
  const processes = ownersText(owners(locked));
  if (locked.length < plain.length) return ok(`SO_LOCK_FILTER on ${processes}, but not on all`);
  return no(`SO_LOCK_FILTER of ${processes} prevents attaching`, "start it without");
}

function inNoOtherMap(members: readonly Listener[]): Finding {
  const taken = members.filter(({ sockarray }) => sockarray);
  if (taken.length === 0) return ok("in no REUSEPORT_SOCKARRAY");
  const processes = ownersText(owners(taken));
  return no(`a listener of ${processes} is in a REUSEPORT_SOCKARRAY`, "remove it there first");
}

/** @throws ForeignProgramError */
function noOtherProgram(members: readonly Listener[], directory: string | null): Finding {
  const ours = directory === null ? null : pinnedProgramId(directory);
  using group = directory === null ? null : Group.openOrNull(directory);
  refuseForeign(members, (member) => group?.isAttachedTo(member) ?? member.programId === ours);
  const [attached] = members.filter(({ programId }) => programId !== null);
  return ok(attached ? `our program is attached (${attached.programId})` : "none is attached");
}

function pinned(directory: string | null): Finding {
  if (directory === null || !existsSync(directory)) return ok("nothing is pinned yet");
  using opened = Group.openOrNull(directory);
  const holder = lockHolder(directory);
  const group = opened
    ? `${endpoint(opened.record.key)} as service ${opened.record.service}`
    : "by another version of reuseport-migrate; attach replaces them";
  return ok(holder ? `${group}, by sidecar ${holder}` : `${group}, without a sidecar`);
}
