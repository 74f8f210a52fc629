/**
 * `pidns_main.js PORT`, in a new pid namespace: listens, attaches to itself, and prints its status.
 */
import { parseSpec, readStatus, Sidecar } from "../../loader/index.ts";
import * as libc from "../../loader/sys/libc.ts";

const port = Number(process.argv[2]);
const fd = libc.socket(libc.AF_INET, libc.SOCK_STREAM, 0);
libc.setsockopt(fd, libc.SOL_SOCKET, libc.SO_REUSEPORT, 1);
libc.bind(fd, libc.sockaddr(libc.AF_INET, Buffer.of(127, 0, 0, 1), port));
libc.listen(fd, 16);

await using sidecar = new Sidecar({
  specs: [parseSpec(`127.0.0.1:${port}`)],
  filter: { pid: process.pid },
  migrate: "newest",
  route: "kernel",
});
await sidecar.start();
const [group] = readStatus().groups;
const owner = group?.listeners[0]?.owners[0]?.pid;
process.stdout.write(JSON.stringify({ pid: process.pid, owner, attached: group?.attached }));
