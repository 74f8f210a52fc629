import { guideSuite } from "./suite.ts";

guideSuite({
  name: "python",
  port: 8000,
  start: ["gunicorn"],
  attach: "Attach",
  underLoad: ["Deploy", "Restart"],
  without: {
    Restart: `start-stop-daemon --stop --retry TERM/30 --pidfile /run/blue.pid
      gunicorn --reuse-port --workers 2 --bind :8000 --daemon --pid /run/blue.pid app:app`,
  },
});
