import { after } from "node:test";
import { TempDir } from "../helpers/host/child.ts";
import { guideSuite } from "./suite.ts";

// The standard library is compiled once.
const cache = new TempDir();
after(() => cache[Symbol.dispose]());

guideSuite({
  name: "go",
  port: 8080,
  before: `export GOCACHE=${cache.path}`,
  start: ["Server", "Start"],
  attach: "Attach",
  underLoad: ["Deploy", "Restart"],
  without: {
    Restart: `start-stop-daemon --stop --retry TERM/30 --pidfile /run/blue.pid
      /srv/server & echo $! >/run/blue.pid`,
  },
});
