/**
 * `make demo PAGE=1`: relay.js COMMAND... runs the demo, and passes connections to a port of this
 * host's loopback on to the sidecar's page, which is in the sandbox's network namespace. A socket
 * in a directory of our own leads there.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Connects two sockets until one of them ends. */
function couple(a: Socket, b: Socket): void {
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    from.on("error", () => to.destroy());
    from.pipe(to);
  }
}

/** Accepts connections at `at`, and opens one to `to` for each. */
export function relay(at: string | number, to: string | number): Promise<Server> {
  const server = createServer((client) => couple(client, connectTo(to)));
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    if (typeof at === "string") server.listen(at, () => resolve(server));
    else server.listen(at, "127.0.0.1", () => resolve(server));
  });
}

const connectTo = (to: string | number): Socket =>
  typeof to === "string" ? connect(to) : connect(to, "127.0.0.1");

/** Runs the command beside a relay; resolves with its exit code. */
async function run([command = "", ...args]: readonly string[]): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), "reuseport-migrate-demo-"));
  const path = join(directory, "page");
  try {
    const server = await relay(0, path);
    const address = server.address();
    const port = typeof address === "object" && address ? address.port : 0;
    const env = { ...process.env, DEMO_PAGE: path, DEMO_URL: `http://127.0.0.1:${port}/` };
    const child = spawn(command, args, { stdio: "inherit", env });
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => {});
    const code = await new Promise<number>((resolve) => {
      child.once("exit", (status) => resolve(status ?? 1));
    });
    server.close();
    return code;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.exit(await run(process.argv.slice(2)));
}
