/** A server in the place of a store, which answers each message with its next replies. */
import { goneName } from "../../../loader/store/protocol.ts";
import * as libc from "../../../loader/sys/libc.ts";
import { onReadable } from "../../../loader/sys/readable.ts";
import { accept, recvmsg, SOCK_SEQPACKET, sendmsg } from "../../../loader/sys/unix_socket.ts";

export const SEQPACKET = SOCK_SEQPACKET | libc.SOCK_NONBLOCK | libc.SOCK_CLOEXEC;

export interface ImpostorReply {
  readonly data: Buffer;
  readonly fds: readonly number[];
  /** The next reply is sent with it, though the client did not ask. */
  readonly more?: boolean;
}

export class ImpostorStore implements Disposable {
  /** What it will say. It closes the connection once there is nothing left. */
  replies: ImpostorReply[] = [];
  readonly path: string;
  readonly #listener = libc.socket(libc.AF_UNIX, SEQPACKET, 0);
  readonly #open = new Map<number, () => void>();
  readonly #stop: () => void;

  constructor(path: string) {
    this.path = path;
    libc.bind(this.#listener, libc.sockaddrUnix(path));
    libc.listen(this.#listener, 16);
    this.#stop = onReadable(this.#listener, () => {
      const fd = accept(this.#listener);
      if (fd !== null)
        this.#open.set(
          fd,
          onReadable(fd, () => this.#answer(fd)),
        );
    });
  }

  /** Number of connections. */
  get clients(): number {
    return this.#open.size;
  }

  #answer(fd: number): void {
    let isOpen = asks(fd);
    while (isOpen) {
      const reply = this.replies.shift();
      isOpen = reply !== undefined && says(fd, reply);
      // An event is no reply: the client would wait for one for ten seconds.
      if (reply && goneName(reply.data) === null && !reply.more) break;
    }
    if (!isOpen) this.#close(fd);
  }

  #close(fd: number): void {
    this.#open.get(fd)?.();
    this.#open.delete(fd);
    libc.close(fd);
  }

  [Symbol.dispose](): void {
    for (const fd of [...this.#open.keys()]) this.#close(fd);
    this.#stop();
    libc.close(this.#listener);
  }
}

/** Reads a request; returns false if the client has closed the connection. */
function asks(fd: number): boolean {
  try {
    const message = recvmsg(fd, 4_096);
    for (const it of message?.fds ?? []) libc.close(it);
    return message === null || message.data.length > 0;
  } catch {
    return false;
  }
}

function says(fd: number, { data, fds }: ImpostorReply): boolean {
  try {
    return sendmsg(fd, data, fds);
  } catch {
    return false;
  }
}
