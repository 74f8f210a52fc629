import { guideSuite } from "./suite.ts";

const START = "cd /srv; uvicorn --host 0.0.0.0 --port 8001 asgi:app & echo $! >/run/uvicorn.pid";

guideSuite({
  name: "python",
  port: 8001,
  start: ["uvicorn"],
  attach: "Run uvicorn",
  underLoad: ["Deploy with uvicorn"],
  effect: { "Deploy with uvicorn": /start 1 ended with code 0/ },
  without: {
    "Run uvicorn": START,
    "Deploy with uvicorn": `p=$(cat /run/uvicorn.pid); kill $p; wait $p; ${START}`,
  },
});
