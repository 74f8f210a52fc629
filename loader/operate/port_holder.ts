/** The process that listens on an address of our network namespace. */
import { lockHolder } from "../bpf/directory_lock.ts";
import { findBpffs, PinTree } from "../bpf/pin_tree.ts";
import { endpoint } from "../core/listener.ts";
import { Group } from "../group/group.ts";
import { ownNetns } from "../net/netns_inode.ts";
import { Observer } from "../observe/observer.ts";

export interface PortHolder {
  readonly pid: number;
  readonly comm: string;
  /** Addresses of the groups that it manages, if it is a sidecar. */
  readonly groups: readonly string[];
}

const WILDCARDS: readonly string[] = ["0.0.0.0", "::"];

/** Returns the process that keeps another one from listening there; null if none is found. */
export async function portHolder(
  address: string,
  port: number,
  options: { readonly bpffs?: string } = {},
): Promise<PortHolder | null> {
  const observer = new Observer();
  try {
    const { listeners } = await observer.snapshot();
    const netns = ownNetns();
    const found = listeners.find(({ key, protocol, owners }) => {
      const isHere = key.netns === netns && key.port === port && protocol !== "udp";
      const overlaps = [key.address, address].some((each) => WILDCARDS.includes(each));
      return isHere && owners.length > 0 && (overlaps || key.address === address);
    });
    const [owner] = found?.owners ?? [];
    if (!owner) return null;
    return { pid: owner.pid, comm: owner.comm, groups: groupsOf(owner.pid, options.bpffs) };
  } finally {
    await observer.close();
  }
}

function groupsOf(pid: number, bpffs: string | undefined): string[] {
  const pinTree = new PinTree(findBpffs(bpffs));
  return pinTree.groups().flatMap((name) => {
    const directory = pinTree.directory(name);
    if (lockHolder(directory) !== pid) return [];
    using group = Group.openOrNull(directory);
    return group ? [endpoint(group.record.key)] : [];
  });
}
