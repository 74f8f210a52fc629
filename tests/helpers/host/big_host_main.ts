/**
 * A process of {@link BigHost}: opens its share, reports it, and keeps it open until it is killed.
 */
import { openSync } from "node:fs";
import * as libc from "../../../loader/sys/libc.ts";
import { socketAddress } from "../address.ts";
import { addressOf, type Share } from "./big_host.ts";

const { port, from, to, listeners, files } = JSON.parse(process.argv[2] ?? "") as Share;
for (let group = from; group < to; group++) {
  for (let i = 0; i < listeners; i++) {
    const type = libc.SOCK_STREAM | libc.SOCK_NONBLOCK | libc.SOCK_CLOEXEC;
    const fd = libc.socket(libc.AF_INET, type, 0);
    libc.setsockopt(fd, libc.SOL_SOCKET, libc.SO_REUSEPORT, 1);
    libc.bind(fd, socketAddress(addressOf(group), port));
    libc.listen(fd, 16);
  }
}
const file = openSync("/dev/null", "r");
for (let i = 0; i < files; i++) libc.duplicate(file);
process.on("disconnect", () => process.exit(0));
process.send?.("open");
