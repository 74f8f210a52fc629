/** HAProxy with one listener per thread, reloaded with -sf and without -x. */
import { Haproxy } from "../helpers/servers/haproxy.ts";
import { reloadSuite } from "./scenario.ts";

reloadSuite({
  name: "HAProxy -sf with shards by-thread",
  port: 8081,
  start: (port) => Haproxy.start({ port, threads: 4, bind: "shards by-thread" }),
  reload: (haproxy, n) => haproxy.reload({ behind: n % 5 === 0 }),
  isBehind: true,
});
