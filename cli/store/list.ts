/** store list: shows the names in the store. */
import type { Argv, CommandModule } from "yargs";
import type { StoredFd, StoredName } from "../../loader/store/stored_name.ts";
import type { Env } from "../env.ts";
import { jsonOption } from "../options/pinned.ts";
import { table } from "../output/table.ts";
import { storeOption, storePath } from "./options.ts";

function options(yargs: Argv): Argv<Arguments> {
  return yargs
    .option("store", storeOption)
    .option("json", jsonOption)
    .example("$0 store list --store /run/fds.sock", "its names, and their time left")
    .example(
      "$0 store list --store /run/fds.sock --json | jq '.names[].left_ms'",
      "only the times left, ms",
    );
}

interface Arguments {
  readonly store: string;
  readonly json: boolean | undefined;
}

const seconds = (ms: number) => `${(ms / 1000).toFixed(1)}s`;

/** Returns what `store list` prints. */
export function listText(names: readonly StoredName[]): string {
  if (names.length === 0) return "the store is empty";
  const rows = names.flatMap((name) =>
    name.fds.map((fd, i) => [
      i === 0 ? name.name : "",
      fd.listening ? `${fd.type} listener` : fd.type,
      fd.address || "-",
      String(fd.queue ?? "-"),
      seconds(name.ageMs),
      name.leftMs === null ? "held" : seconds(name.leftMs),
      holderText(name),
    ]),
  );
  return table(["name", "type", "address", "queue", "age", "time left", "held by"], rows).join(
    "\n",
  );
}

function holderText({ holders, takers, shared }: StoredName): string {
  const all = [
    ...holders.filter((pid) => !takers.includes(pid)),
    ...takers.map((pid) => `${pid} (taken)`),
  ];
  return [...(shared ? ["shared"] : []), ...all].join(", ") || "-";
}

/** Returns what `store list --json` prints. */
export function listJson(names: readonly StoredName[]): unknown {
  return {
    names: names.map((name) => ({
      name: name.name,
      fds: name.fds.map(({ type, listening, address, queue }: StoredFd) => ({
        type,
        listening,
        address,
        queue,
      })),
      shared: name.shared,
      timeout_ms: name.timeoutMs,
      held_by: name.holders,
      taken_by: name.takers,
      age_ms: name.ageMs,
      left_ms: name.leftMs,
    })),
  };
}

async function run(env: Env, args: Arguments): Promise<void> {
  const { FdStore } = await import("../../loader/store/fd_store.ts");
  using store = await FdStore.connect(storePath(args.store));
  const names = await store.list();
  const text = args.json ? JSON.stringify(listJson(names), null, 2) : listText(names);
  env.stdout.write(`${text}\n`);
}

export function listCommand(env: Env): CommandModule<object, Arguments> {
  return {
    command: "list",
    describe: "Show the names in the store: type, address, queue and time left",
    builder: options,
    handler: (args) => run(env, args),
  };
}
