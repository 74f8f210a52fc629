/** The page, kept open for a minute while the server is reloaded, stopped and started. */
import { setTimeout as sleep } from "node:timers/promises";
import { LoadClient } from "../helpers/load/client_load.ts";
import { PORT, say } from "./part.ts";
import { Server, Sidecar } from "./processes.ts";
import { relay } from "./relay.ts";
import { RELOAD } from "./reload.ts";

const PAGE_PORT = 9944;
const OPEN_MS = Number(process.env["DEMO_PAGE_MS"] ?? 60_000);
const PAUSE_MS = 1_500;
/** Each fourth round the server is away for this long. */
const AWAY_MS = 2_000;

/** Prints where the page is; shows it if the demo was asked to. */
export async function showPage(path: string | undefined, url: string | undefined): Promise<void> {
  if (path === undefined) {
    const address = `http://127.0.0.1:${PAGE_PORT}/`;
    say(`See it move: ${address}, a page of each sidecar; here: make demo PAGE=1`);
    return;
  }
  let server = await Server.start(PORT);
  const netns = ["--netns", String(process.pid)];
  const metrics = ["--metrics", `127.0.0.1:${PAGE_PORT}`];
  const options = ["--hold", "10s", ...RELOAD.options, ...netns, ...metrics];
  const sidecar = await Sidecar.attach(`:${PORT}`, ...options);
  const inside = await relay(path, PAGE_PORT);
  say(`The page: ${url} for ${OPEN_MS / 1_000} s, while the server is reloaded and stopped.`);
  const load = { concurrency: 16, port: PORT, limit: Number.MAX_SAFE_INTEGER };
  using client = await LoadClient.start(load);
  const endMs = performance.now() + OPEN_MS;
  for (let round = 1; performance.now() < endMs; round++) {
    if (round % 4 === 0) {
      await server.stop();
      await sleep(AWAY_MS);
      server = await Server.start(PORT);
    } else server = await RELOAD.round(server);
    await sleep(PAUSE_MS);
  }
  await client.stop();
  await server.stop();
  inside.close();
  await sidecar.stop();
}
