/**
 * How the tests of --hold run each of four servers, which are unmodified: nginx, HAProxy, Node and
 * Python.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { PYTHON, scriptPath } from "../helpers/host/script.ts";
import { haproxyConfig } from "../helpers/servers/haproxy.ts";
import { nginxArgs, nginxConfig } from "../helpers/servers/nginx.ts";
import type { Recipe } from "./restartable.ts";

const NODE_SERVER = fileURLToPath(
  new URL("../helpers/servers/graceful_node_main.js", import.meta.url),
);

export const SERVERS = ["nginx", "HAProxy", "Node", "Python"] as const;
export type ServerName = (typeof SERVERS)[number];

export interface Where {
  readonly port: number;
  /** The addresses it listens on; `::` takes IPv4 connections too. */
  readonly addresses: readonly string[];
  /** A command that starts it, such as `["setpriv", ...]`. */
  readonly under?: readonly string[];
}

export function recipe(name: ServerName, where: Where): Recipe {
  const { port, addresses } = where;
  const hosts = addresses.flatMap((each) => (each === "::" ? ["127.0.0.1", "::1"] : [each]));
  return { port, hosts, ...RECIPES[name](where) };
}

type Make = (where: Where) => Pick<Recipe, "prepare" | "graceful" | "reports">;

const RECIPES: Readonly<Record<ServerName, Make>> = {
  nginx: ({ port, addresses }) => ({
    prepare: (directory) => {
      const listen = addresses.map(
        (each) =>
          `${each === "::" ? `[::]:${port} ipv6only=off` : `${bracketed(each)}:${port}`} reuseport`,
      );
      writeFileSync(directory.file("nginx.conf"), nginxConfig(listen, 2));
      return ["nginx", ...nginxArgs(directory.path)];
    },
    graceful: "SIGQUIT",
    reports: false,
  }),
  HAProxy: ({ port, addresses }) => ({
    prepare: (directory) => {
      const config = directory.file("haproxy.cfg");
      const bind = addresses.map((each) => `${each}:${port} ${each === "::" ? "v4v6" : ""}`);
      writeFileSync(config, haproxyConfig(bind, 2));
      return ["haproxy", "-db", "-f", config];
    },
    graceful: "SIGUSR1",
    reports: false,
  }),
  Node: ({ port, addresses, under = [] }) => ({
    prepare: () => command(under, process.execPath, NODE_SERVER, String(port), ...addresses),
    graceful: "SIGTERM",
    reports: true,
  }),
  // Its source is on the command line, as its user may be unable to read this tree.
  Python: ({ port, addresses, under = [] }) => ({
    prepare: () => {
      const source = readFileSync(scriptPath("servers/graceful_python.py"), "utf8");
      return command(under, PYTHON, "-c", source, String(port), ...addresses);
    },
    graceful: "SIGTERM",
    reports: true,
  }),
};

function command(under: readonly string[], ...rest: [string, ...string[]]): [string, ...string[]] {
  const [first, ...others] = under;
  return first === undefined ? rest : [first, ...others, ...rest];
}

function bracketed(address: string): string {
  return address.includes(":") ? `[${address}]` : address;
}
