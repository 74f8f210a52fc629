/** Labels of groups: no two groups of a scrape have the same, whatever they are named. */
import type { GroupStatus } from "../../loader/operate/status.ts";
import { labelText } from "./families.ts";

/** The label `netns` of the network namespace in which the sidecar runs. */
const OWN = "own";

/** The labels of one scrape. */
export class GroupLabels {
  /** Of each network namespace, by inode number. */
  readonly #netns = new Map<number, string>();
  readonly #taken = new Set<string>();

  /** Returns the labels of a group; `ifindex` and `v6only` only of groups that have them. */
  of({ service, key, netnsName }: GroupStatus): string {
    const { address, port, ifindex, v6only } = key;
    return labelText({
      service,
      address,
      port,
      netns: this.#name(key.netns, netnsName ?? OWN),
      ...(ifindex === 0 ? {} : { ifindex }),
      ...(v6only ? { v6only: "true" } : {}),
    });
  }

  /** Returns the label `netns` of a network namespace of these groups. */
  netns(inode: number): string {
    return this.#netns.get(inode) ?? String(inode);
  }

  /** Two namespaces may have one container's or unit's name: the second one gets its number, too. */
  #name(inode: number, name: string): string {
    const before = this.#netns.get(inode);
    if (before !== undefined) return before;
    const label = this.#taken.has(name) ? `${name} (${inode})` : name;
    this.#netns.set(inode, label);
    this.#taken.add(label);
    return label;
  }
}
