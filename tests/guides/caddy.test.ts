import { guideSuite } from "./suite.ts";

guideSuite({
  name: "caddy",
  port: 80,
  start: ["Configure", "Start"],
  attach: "Attach",
  underLoad: ["Reload", "Restart"],
});
