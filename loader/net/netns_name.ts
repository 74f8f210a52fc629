/** A network namespace by its configured name, which may resolve later, or to another one. */
import { HungError, UsageError } from "../errors.ts";
import { netnsInode } from "./netns_inode.ts";

export class NetnsName {
  /** Path or pid. */
  readonly name: string | number;
  #inode: number | null = null;
  #failure = "";
  #hasEnded = false;

  constructor(name: string | number) {
    this.name = name;
  }

  /**
   * Returns the namespace's inode number, or null if it does not exist. The namespace of a process
   * is resolved once: that process may end before others in it, and its pid may be reused.
   * @throws PermissionError
   */
  locate(): number | null {
    this.#inode = this.#resolve();
    return this.#inode;
  }

  /** True if {@link locate} would return another value than last time. @throws PermissionError */
  get hasChanged(): boolean {
    return this.#resolve() !== this.#inode;
  }

  #resolve(): number | null {
    if (this.#hasEnded || (this.#isProcess && this.#inode !== null)) return this.#inode;
    try {
      return netnsInode(this.name);
    } catch (error) {
      if (!(error instanceof UsageError || error instanceof HungError)) throw error;
      this.#failure = error.message;
      return null;
    }
  }

  /** Why the name resolved to null. */
  get failure(): string {
    return this.#hasEnded ? `${this.name}: that network namespace has ended` : this.#failure;
  }

  /** It was a process's, and no longer exists: it will never resolve again. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Forgets the resolved namespace if it is one of `ended`: the kernel may reuse its number. */
  forget(ended: ReadonlySet<number>): void {
    if (this.#inode === null || !ended.has(this.#inode)) return;
    this.#hasEnded = this.#isProcess;
    this.#inode = null;
  }

  get #isProcess(): boolean {
    return typeof this.name === "number" || this.name.startsWith("/proc/");
  }
}
