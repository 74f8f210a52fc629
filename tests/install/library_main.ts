/**
 * `library_main.js DIRECTORY`, in the sandbox: a program in a directory where the npm package is
 * installed attaches to a live listener. The repository's package is not imported.
 */
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { ListenerProcess } from "../helpers/servers/listener.ts";

const run = promisify(execFile);
const PORT = 18081;

const PROGRAM = `
  import assert from "node:assert/strict";
  import { createRequire } from "node:module";
  import { attach, NoMatchError, status } from "reuseport-migrate";
  await assert.rejects(attach(":1"), NoMatchError);
  assert.equal(createRequire(import.meta.url)("reuseport-migrate").attach, attach);
  const guard = await attach("127.0.0.1:${PORT}");
  const [group] = (await status()).groups;
  assert.deepEqual([group.port, group.attached, group.sidecar_pid], [${PORT}, true, process.pid]);
  assert.ok(import.meta.resolve("reuseport-migrate").startsWith(new URL(".", import.meta.url).href));
  await guard.close();
  assert.deepEqual((await status()).groups, []);
`;

const [directory = ""] = process.argv.slice(2);
const program = join(directory, "program.mjs");
writeFileSync(program, PROGRAM);
const server = await ListenerProcess.start();
try {
  await server.open({ address: "127.0.0.1", port: PORT });
  await run(process.execPath, [program], { cwd: directory });
} finally {
  await server.kill();
}
