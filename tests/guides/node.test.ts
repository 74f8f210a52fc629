import { guideSuite } from "./suite.ts";

const START = "node /srv/server.mjs & echo $! >/run/server.pid";

guideSuite({
  name: "node",
  port: 3000,
  start: ["Server"],
  attach: "Run",
  underLoad: ["Deploy"],
  effect: { Deploy: /start 1 ended with code 0/ },
  without: { Run: START, Deploy: `p=$(cat /run/server.pid); kill $p; wait $p; ${START}` },
});
