/** The service manager's end of sd_notify(3): a Unix datagram socket, which Node does not offer. */
import koffi from "koffi";
import * as libc from "../../../loader/sys/libc.ts";

const recv = koffi.load(null).func("long recv(int fd, _Out_ void *buf, size_t n, int flags)") as (
  fd: number,
  buf: Buffer,
  n: number,
  flags: number,
) => number;

export class NotifySocket implements Disposable {
  readonly #fd: number;
  readonly #received: string[] = [];

  /** Binds to `path`, which must not exist. */
  constructor(path: string) {
    const type = libc.SOCK_DGRAM | libc.SOCK_NONBLOCK | libc.SOCK_CLOEXEC;
    this.#fd = libc.socket(libc.AF_UNIX, type, 0);
    const address = Buffer.from(`\0\0${path}\0`);
    address.writeUInt16LE(libc.AF_UNIX);
    libc.bind(this.#fd, address);
  }

  /** Returns all assignments received so far, such as `READY=1`. */
  received(): readonly string[] {
    const buffer = Buffer.alloc(4096);
    for (;;) {
      const n = recv(this.#fd, buffer, buffer.length, 0);
      if (n < 0) return this.#received;
      this.#received.push(...buffer.toString("utf8", 0, n).trimEnd().split("\n"));
    }
  }

  [Symbol.dispose](): void {
    libc.close(this.#fd);
  }
}
