/** A network namespace as the user names it. Which one that is may be known later, and change. */
import { UsageError } from "../errors.ts";
import { netnsInode } from "./netns_inode.ts";

export class NetnsName {
  /** Path or pid. */
  readonly name: string | number;
  #inode: number | null = null;
  #why = "";
  #ended = false;

  constructor(name: string | number) {
    this.name = name;
  }

  /**
   * Its inode number now; null: there is none. One that a process names is kept from the first
   * look on, since the process may end before the others in there, and its pid be another's then.
   * @throws PermissionError
   */
  locate(): number | null {
    this.#inode = this.#now();
    return this.#inode;
  }

  /** It is another one than when it was located last, or there is one now, or none. @throws PermissionError */
  get isOther(): boolean {
    return this.#now() !== this.#inode;
  }

  #now(): number | null {
    if (this.#ended || (this.#isProcess && this.#inode !== null)) return this.#inode;
    try {
      return netnsInode(this.name);
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      this.#why = error.message;
      return null;
    }
  }

  /** Why there is none. */
  get why(): string {
    return this.#ended ? `${this.name}: that network namespace is gone` : this.#why;
  }

  /** Those namespaces are gone, and their numbers may be given to others. */
  forget(gone: ReadonlySet<number>): void {
    if (this.#inode === null || !gone.has(this.#inode)) return;
    this.#ended = this.#isProcess;
    this.#inode = null;
  }

  get #isProcess(): boolean {
    return typeof this.name === "number" || this.name.startsWith("/proc/");
  }
}
