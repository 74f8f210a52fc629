/**
 * 13: the duration of `attach --once` from its start to its exit; each is undone before the next.
 */
import { spawnSync } from "node:child_process";
import { BIN } from "../helpers/product/cli.ts";
import { ListenerProcess } from "../helpers/servers/listener.ts";
import { compare, inTurn } from "./figures.ts";
import type { Question } from "./question.ts";

const PORT = 21_000;
const LISTENERS = 8;
const ROUNDS = 20;
const AT_MOST = 6;

/** Returns the duration of `node ARGS`, ms. @throws Error if it fails or does not print `says` */
function timed(args: readonly string[], says = ""): number {
  const startMs = performance.now();
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
  const ms = performance.now() - startMs;
  if (status !== 0 || !stdout.includes(says)) {
    throw new Error(`node ${args.join(" ")} ended with ${status}: ${stdout}${stderr}`);
  }
  return ms;
}

/** Returns the duration of an attach, ms; undoes it afterwards. */
function attach(): number {
  const spec = `127.0.0.1:${PORT}`;
  try {
    const says = `ATTACHED groups=1 listeners=${LISTENERS}`;
    return timed([BIN, "attach", spec, "--once"], says);
  } finally {
    timed([BIN, "detach", "--all"], "detached");
  }
}

export const question: Question = {
  number: 13,
  name: "start",
  title: "start to exit",
  reference: "node -e 0",
  async measure() {
    const server = await ListenerProcess.start();
    try {
      for (let i = 0; i < LISTENERS; i++) await server.open({ address: "127.0.0.1", port: PORT });
      attach(); // reads the files for the first time
      const samples = await inTurn(ROUNDS, {
        node: () => timed(["-e", "0"]),
        once: attach,
        help: () => timed([BIN, "--help"], "Commands:"),
        status: () => timed([BIN, "status"], "nothing is attached"),
      });
      const { node, once, help, status } = samples;
      return [
        compare(once, node, { label: "attach --once", unit: "ms", atMost: AT_MOST }),
        compare(help, node, { label: "--help", unit: "ms" }),
        compare(status, node, { label: "status", unit: "ms" }),
      ];
    } finally {
      await server.kill();
    }
  },
};
