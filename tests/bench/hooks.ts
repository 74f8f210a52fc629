/**
 * 10: the cost of both hooks at bind(), for bind events and for adopt, per connection. A client
 * that does not call bind() runs neither, so these clients do.
 */
import { mkdirSync, rmdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { adopt, unadopt } from "../../loader/adoption/adopt.ts";
import { PinTree } from "../../loader/bpf/pin_tree.ts";
import { BindEvents, EVERY_NETNS } from "../../loader/observe/bind_events.ts";
import { BPFFS } from "../helpers/scene/scene.ts";
import { Nginx } from "../helpers/servers/nginx.ts";
import { compare, inTurn } from "./figures.ts";
import type { Question } from "./question.ts";
import { PINNED, Saturation } from "./saturation.ts";

const PORT = 8001;
const PAIRS = 1500;
const SLICE_MS = 10;

export const question: Question = {
  number: 10,
  name: "hooks",
  title: "both hooks at bind(), short HTTP connections per second of clients that bind",
  reference: "not attached",
  measure: async () => {
    await using _nginx = await Nginx.start({ port: PORT, workers: 2, under: PINNED });
    await using cgroups = new Cgroups();
    await cgroups.adopt();
    await using load = await Saturation.binding(PORT);
    // One process changes its cgroup, as two runs of the same program differ by half a percent.
    const within = (cgroup: string) => () => {
      writeFileSync(join(cgroup, "cgroup.procs"), String(load.pid));
      return load.slice(SLICE_MS);
    };
    const { hooked, plain } = cgroups;
    const rates = await inTurn(PAIRS, { hooked: within(hooked), plain: within(plain) });
    await load.end();
    return [compare(rates.hooked, rates.plain, { unit: "1/s", atLeast: 0.995 })];
  },
};

/**
 * Two cgroups, one of them below a cgroup with the hooks; a host has the bind events at its root.
 */
class Cgroups implements AsyncDisposable {
  readonly hooked: string;
  readonly plain: string;
  readonly #events: BindEvents;
  readonly #pinTree = new PinTree(BPFFS);

  constructor() {
    const sandbox = process.env["SANDBOX_CGROUP"];
    if (!sandbox) throw new Error("the sandbox has no cgroup: mount cgroup v2");
    this.hooked = join(sandbox, "hooked", "load");
    this.plain = join(sandbox, "plain", "load");
    for (const each of [this.hooked, this.plain]) mkdirSync(each, { recursive: true });
    const watched = [{ port: PORT, netns: EVERY_NETNS }];
    this.#events = new BindEvents(join(this.hooked, ".."), watched, () => {});
  }

  /** Adopts the cgroup beside the one of the load. */
  async adopt(): Promise<void> {
    using _lock = await this.#pinTree.lock();
    adopt(this.#pinTree, `/${basename(join(this.hooked, "../.."))}/hooked/app`, [PORT]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    {
      using _lock = await this.#pinTree.lock();
      unadopt(this.#pinTree, "all");
    }
    this.#pinTree.tidy();
    this.#events[Symbol.dispose]();
    for (const each of [this.hooked, this.plain]) {
      rmdirSync(each);
      rmdirSync(join(each, ".."));
    }
  }
}
