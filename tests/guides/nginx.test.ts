import { guideSuite } from "./suite.ts";

guideSuite({
  name: "nginx",
  port: 80,
  before: `sed -i 's|try_files .*|return 200 "$uri";|' /etc/nginx/sites-available/default`,
  start: ["Configure", "Start"],
  attach: "Attach",
  underLoad: ["Reload", "Restart"],
});
