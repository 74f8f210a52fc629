/**
 * `growth_killed_main.js PORT STEP`: takes over the group of that port, which has more listeners
 * than slots, and is killed after a step of its growth.
 */
import { renameSync } from "node:fs";
import { join } from "node:path";
import { PinTree } from "../../loader/bpf/pin_tree.ts";
import { byGroup } from "../../loader/core/listener.ts";
import { takeOnGroup } from "../../loader/manage/take_on.ts";
import { Observer } from "../../loader/observe/observer.ts";
import { BPFFS } from "../helpers/scene/scene.ts";

/**
 * The next instance is filled; or pinned, and not attached; or attached. Before Linux 5.16
 * directories are exchanged in three renames: the first one, or two, are done.
 */
export const STEPS = ["filled", "aside", "renamed", "exchanged", "attached"] as const;
type Step = (typeof STEPS)[number];

class KillingPinTree extends PinTree {
  readonly #step: Step;

  constructor(step: Step) {
    super(BPFFS);
    this.#step = step;
  }

  override exchange(name: string): void {
    const [unfinished, published] = [join(this.root, `new-${name}`), this.directory(name)];
    if (this.#step === "filled") die();
    if (this.#step === "aside" || this.#step === "renamed") {
      renameSync(published, join(this.root, `old-${name}`));
      if (this.#step === "renamed") renameSync(unfinished, published);
      die();
    }
    super.exchange(name);
    if (this.#step === "exchanged") die();
  }

  override removeUnfinished(name: string): void {
    if (this.#step === "attached") die();
    super.removeUnfinished(name);
  }
}

function die(): never {
  process.kill(process.pid, "SIGKILL");
  throw new Error("it goes on");
}

const [port, step] = process.argv.slice(2);
if (port !== undefined) {
  using observer = new Observer();
  const pinTree = new KillingPinTree(step as Step);
  using _lock = await pinTree.lock();
  const groups = [...byGroup(observer.read().listeners)];
  const [name = "", members = []] =
    groups.find(([, [one]]) => one?.key.port === Number(port)) ?? [];
  const options = { migrate: "newest", route: "kernel", replace: false } as const;
  takeOnGroup(pinTree, { name, members, service: "" }, options);
}
