/** A user with very many mounts in a user and mount namespace of their own. */
import { join } from "node:path";
import { Child, TempDir } from "../host/child.ts";
import { AS_NOBODY } from "./nobody.ts";

/** Doubles the mounts below a tmpfs, so that there are 2^DOUBLINGS of them. */
const SCRIPT = `
mount -t tmpfs none /mnt && mkdir /mnt/0 && mount -t tmpfs none /mnt/0 || exit 1
n=1; while [ $n -le $0 ]; do mkdir /mnt/$n && mount --rbind /mnt/0 /mnt/$n || exit 1
mkdir -p /mnt/0/$n && mount --rbind /mnt/$n /mnt/0/$n || exit 1; n=$((n + 1)); done
echo READY; sleep 3600`;

export class ManyMounts implements AsyncDisposable {
  readonly #dir = new TempDir();
  readonly #child: Child;

  private constructor(doublings: number) {
    const under = [...AS_NOBODY, "unshare", "--user", "--map-root-user", "--mount"];
    const [command = "", ...rest] = [...under, "sh", "-c", SCRIPT, String(doublings)];
    this.#child = new Child(command, rest, join(this.#dir.path, "log"));
  }

  static async make(doublings: number): Promise<ManyMounts> {
    const made = new ManyMounts(doublings);
    await made.#child.until("READY", () => made.#child.output().includes("READY"));
    return made;
  }

  get pid(): number {
    return this.#child.pid;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child[Symbol.asyncDispose]();
    this.#dir[Symbol.dispose]();
  }
}
