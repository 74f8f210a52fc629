/**
 * A Node server that guards itself: the primary process is the sidecar, each worker opens its own
 * listener with SO_REUSEPORT, and SIGHUP replaces the workers. As root:
 *
 *     npm install reuseport-migrate && node self_guarded.mjs &
 *     kill -HUP $!       # new workers; no client is refused or reset
 *     kill $!            # stops the workers, detaches
 *
 * From Node 22.12 on, `reusePort` sets the option. An older Node ignores it, so there the sidecar
 * sets the option for binds in this process's cgroup, which should hold no other server (`adopt`).
 */
import cluster from "node:cluster";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { attach } from "reuseport-migrate";

const port = Number(process.env.PORT ?? 8080);
const count = Number(process.env.WORKERS ?? 2);

if (cluster.isPrimary) await primary();
else worker();

async function primary() {
  const guard = await attach(`:${port}`, {
    wait: true,
    log: ({ level, text }) => console.error(`${level}: ${text}`),
    ...(setsReusePort() ? {} : { adopt: true, adoptMax: 2 * count, cgroup: ownCgroup() }),
  });
  let workers = await startWorkers();
  let stopping = false;
  let reload = Promise.resolve();
  cluster.on("exit", (gone) => {
    const i = workers.indexOf(gone);
    if (i >= 0 && !stopping) workers[i] = cluster.fork(); // it crashed
  });
  const replace = async () => {
    const old = workers;
    workers = await startWorkers();
    await stopWorkers(old);
    console.log(`reloaded pids=${workers.map((each) => each.process.pid)}`);
  };
  process.on("SIGHUP", () => {
    reload = reload.then(replace).catch((error) => {
      console.error(`error: not reloaded, the old workers go on: ${error.message}`);
    });
  });
  process.once("SIGTERM", async () => {
    await reload;
    stopping = true;
    await stopWorkers(workers);
    await guard.close(); // last: until then a worker's queue goes to the others
    process.exit();
  });
  console.log(`ready pids=${workers.map((each) => each.process.pid)}`);
}

/** Starts workers; returns once all of them listen. @throws Error if one exits before */
async function startWorkers() {
  const started = Array.from({ length: count }, () => cluster.fork());
  const listens = (one) =>
    Promise.race([
      once(one, "message"),
      once(one, "exit").then(() => Promise.reject(new Error("a worker does not start"))),
    ]);
  try {
    await Promise.all(started.map(listens));
    return started;
  } catch (error) {
    for (const one of started) one.process.kill();
    throw error;
  }
}

function stopWorkers(workers) {
  return Promise.all(
    workers.map((each) => {
      each.process.kill("SIGTERM");
      return once(each, "exit");
    }),
  );
}

function worker() {
  const server = createServer((request, response) => {
    response.end(request.url === "/pid" ? String(process.pid) : request.url);
  });
  // `exclusive`: the worker's own listener, instead of one in the primary.
  server.listen({ port, host: "0.0.0.0", exclusive: true, reusePort: true }, () => {
    process.send("listening");
  });
  process.once("SIGTERM", () => {
    server.close(() => process.exit());
    server.closeIdleConnections();
  });
}

/** Node 22.12 and 23.1 are the first that can set SO_REUSEPORT. */
function setsReusePort() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  return major > 23 || (major === 23 && minor >= 1) || (major === 22 && minor >= 12);
}

/** This process's cgroup v2, as /proc/self/cgroup has it. */
function ownCgroup() {
  return /^0::(.*)$/m.exec(readFileSync("/proc/self/cgroup", "utf8"))[1];
}
