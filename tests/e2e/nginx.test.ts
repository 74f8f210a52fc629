/**
 * nginx with one listener per worker, between 4 workers and 1: every shrink closes three listeners.
 */
import { Nginx } from "../helpers/servers/nginx.ts";
import { reloadSuite } from "./scenario.ts";

const WORKERS = 4;

reloadSuite({
  name: "nginx",
  port: 8082,
  start: (port) => Nginx.start({ port, workers: WORKERS }),
  // 4 -> 1 -> 4 -> 1 ...
  reload: (nginx, n) => nginx.reload(n % 2 === 1 ? 1 : WORKERS),
});
