/** The servers that are stopped and started: unmodified, each as its users run it. */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { haproxyConfig } from "./haproxy.ts";
import { nginxArgs, nginxConfig } from "./nginx.ts";
import type { Recipe } from "./restartable.ts";

const NODE_SERVER = fileURLToPath(new URL("./stop_start_main.js", import.meta.url));
/** The system's: one that root has installed for itself is not everybody's. */
const PYTHON = "/usr/bin/python3";
const PYTHON_SERVER = new URL("../../../../tests/helpers/servers/stop_start.py", import.meta.url);

export const SERVERS = ["nginx", "HAProxy", "Node", "Python"] as const;
export type ServerName = (typeof SERVERS)[number];

export interface Where {
  readonly port: number;
  /** What it listens on; `::` takes IPv4 connections too. */
  readonly addresses: readonly string[];
  /** A command to start it with, such as `["setpriv", ...]`. */
  readonly under?: readonly string[];
}

export function recipe(name: ServerName, where: Where): Recipe {
  const { port, addresses } = where;
  const hosts = addresses.flatMap((each) => (each === "::" ? ["127.0.0.1", "::1"] : [each]));
  return { port, hosts, ...RECIPES[name](where) };
}

type Make = (where: Where) => Pick<Recipe, "prepare" | "graceful" | "says">;

const RECIPES: Readonly<Record<ServerName, Make>> = {
  nginx: ({ port, addresses }) => ({
    prepare: (directory) => {
      const listen = addresses.map((each) =>
        each === "::" ? `[::]:${port} ipv6only=off` : `${bracketed(each)}:${port}`,
      );
      writeFileSync(directory.file("nginx.conf"), nginxConfig(listen, 2));
      return ["nginx", ...nginxArgs(directory.path)];
    },
    graceful: "SIGQUIT",
    says: false,
  }),
  HAProxy: ({ port, addresses }) => ({
    prepare: (directory) => {
      const config = directory.file("haproxy.cfg");
      const bind = addresses.map((each) => `${each}:${port} ${each === "::" ? "v4v6" : ""}`);
      writeFileSync(config, haproxyConfig(bind, 2));
      return ["haproxy", "-db", "-f", config];
    },
    graceful: "SIGUSR1",
    says: false,
  }),
  Node: ({ port, addresses, under = [] }) => ({
    prepare: () => command(under, process.execPath, NODE_SERVER, String(port), ...addresses),
    graceful: "SIGTERM",
    says: true,
  }),
  // Its source on the command line: whoever runs it need not be able to read this tree.
  Python: ({ port, addresses, under = [] }) => ({
    prepare: () => {
      const source = readFileSync(PYTHON_SERVER, "utf8");
      return command(under, PYTHON, "-c", source, String(port), ...addresses);
    },
    graceful: "SIGTERM",
    says: true,
  }),
};

function command(under: readonly string[], ...rest: [string, ...string[]]): [string, ...string[]] {
  const [first, ...others] = under;
  return first === undefined ? rest : [first, ...others, ...rest];
}

function bracketed(address: string): string {
  return address.includes(":") ? `[${address}]` : address;
}
