import { guideSuite } from "./suite.ts";

guideSuite({
  name: "haproxy",
  port: 80,
  start: ["Configure", "Start"],
  attach: "Attach",
  underLoad: ["Reload", "Restart"],
});
