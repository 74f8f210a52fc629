/** The connections that exec waits for: those its server accepted, whatever their local port. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ServerSockets } from "../../loader/observe/server_sockets.ts";
import { Child } from "../helpers/host/child.ts";
import { PYTHON } from "../helpers/host/script.ts";
import { tempDir } from "../helpers/net/netns.ts";
import { served } from "../helpers/product/exec.ts";
import { execIn } from "../helpers/scene/exec_scene.ts";
import { type Scene, scene } from "../helpers/scene/scene.ts";
import { until } from "../helpers/until.ts";

/**
 * Takes PORT OTHER [UPSTREAM]: listens on both ports, on PORT also for TPROXY, and connects to
 * UPSTREAM. It answers a request with its pid, and keeps a connection until the client closes it.
 */
const SERVER = `
import os, socket, sys, threading
IP_TRANSPARENT = 19
ports = [int(arg) for arg in sys.argv[1:]]
kept = []
def listener(port, *options):
    s = socket.socket()
    for option in options: s.setsockopt(*option, 1)
    s.bind(("127.0.0.1", port))
    s.listen(16)
    return s
def talk(connection):
    data = connection.recv(4096)
    if data.startswith(b"G"):
        body = str(os.getpid())
        head = f"HTTP/1.1 200 OK\\r\\nConnection: close\\r\\nContent-Length: {len(body)}\\r\\n\\r\\n"
        connection.sendall((head + body).encode())
    while data: data = connection.recv(4096)
    connection.close()
def serve(s):
    while True: threading.Thread(target=talk, args=(s.accept()[0],), daemon=True).start()
first = listener(ports[0], (socket.SOL_IP, IP_TRANSPARENT))
second = listener(ports[1])
for port in ports[2:]: kept.append(socket.create_connection(("127.0.0.1", port)))
threading.Thread(target=serve, args=(second,), daemon=True).start()
print("serves", flush=True)
serve(first)`;

const command = (...ports: number[]) => [PYTHON, "-c", SERVER, ...ports.map(String)];

/** A client that says something other than a request, and stays. */
async function client(s: Scene, port: number) {
  const socket = connect(port, "127.0.0.1");
  s.defer(() => socket.destroy());
  await once(socket, "connect");
  socket.on("error", () => {}).write("x");
  return socket;
}

/** Gives the connections to one port to the listener of another one, which sees the first. */
function tproxy(s: Scene, from: number, to: number): void {
  const table = `reuseport_migrate_test_tproxy_${from}`;
  const rules = `table ip ${table} {
    chain prerouting {
      type filter hook prerouting priority mangle
      tcp dport ${from} tproxy to 127.0.0.1:${to}
    }
  }`;
  execFileSync("nft", ["-f", "-"], { input: rules });
  s.defer(() => execFileSync("nft", ["delete", "table", "ip", table]));
}

describe("the connections of a server", () => {
  test(
    "are those it accepted on any of its listeners, not those it opened",
    scene(async (s) => {
      const [other, upstream, proxied] = [s.port + 10_000, s.port + 11_000, s.port + 12_000];
      const start = (...ports: number[]) => {
        const [name = "", ...args] = command(...ports);
        const child = new Child(name, args, tempDir(s).file("log"));
        s.defer(() => child[Symbol.asyncDispose]());
        return child.until("it serves", () => child.output().includes("serves")).then(() => child);
      };
      const { pid: above } = await start(upstream, upstream + 1);
      const { pid } = await start(s.port, other, upstream);
      using sockets = new ServerSockets();
      const accepted = async (count: number) =>
        until(`it has accepted ${count}`, () => sockets.accepted([pid]) === count);
      assert.equal(sockets.accepted([pid]), 0);
      await until("the other one has accepted", () => sockets.accepted([above]) === 1);
      await client(s, s.port);
      await accepted(1);
      await client(s, other);
      await accepted(2);
      tproxy(s, proxied, s.port);
      await client(s, proxied);
      await accepted(3);
      assert.equal(sockets.accepted([pid, pid, above]), 4);
      assert.equal(sockets.listeners([pid]).length, 2);
    }),
  );

  test(
    "are waited for before a restart stops it",
    scene(async (s) => {
      const proxied = s.port + 12_000;
      // The second start listens elsewhere too, as the port is not of the SPEC.
      const script = `exec "$@" $((${s.port + 10_000} + $$ % 1000))`;
      const server = ["sh", "-c", script, "sh", ...command(s.port)];
      const exec = execIn(s, ["--restart", "--drain", "1m"], server);
      const first = await served(s.port);
      tproxy(s, proxied, s.port);
      const through = await client(s, proxied);
      using sockets = new ServerSockets();
      await until("it is accepted", () => sockets.accepted([first]) === 1);
      exec.child.kill("SIGHUP");
      await exec.wrote("start 2 is ready");
      await sleep(500); // 20 polls
      assert.deepEqual(exec.output.match(/start 1 ended.*/g), null);
      through.destroy();
      await exec.wrote("start 1 ended");
    }),
  );
});
