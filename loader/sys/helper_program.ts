/** Starts the C programs of the loader: each talks to its parent over a socket, descriptor 3. */
import { type ChildProcess, spawn } from "node:child_process";
import { NotSupportedError } from "../errors.ts";
import { Owned, requireFreeFds } from "../owned.ts";
import { socketpair } from "./unix_socket.ts";

/** Descriptors that a start needs; with too few, spawn() only shows that there is no process. */
const START_FDS = 8;

export interface HelperProgram {
  readonly child: ChildProcess;
  /** Our end of the connection, which keeps messages apart. */
  readonly socket: number;
}

/**
 * Starts a program without arguments. It inherits no other descriptor.
 * @throws NotSupportedError if it cannot be started; EMFILE
 */
export function startHelper(program: string): HelperProgram {
  requireFreeFds(START_FDS);
  using own = new Owned();
  using opened = new Owned();
  const [ours, theirs] = socketpair();
  const socket = own.fd(ours);
  // In a session of its own: Ctrl-C is for its parent, which may still need it.
  const stdio = ["ignore", "ignore", "ignore", opened.fd(theirs)] as const;
  const child = spawn(program, [], { stdio: [...stdio], detached: true, env: {}, cwd: "/" });
  child.once("error", () => {}); // shown by the lack of a pid
  child.unref();
  if (child.pid !== undefined) return own.release({ child, socket });
  throw new NotSupportedError(
    "helper program",
    `${program} cannot be started: it is missing, or for another architecture; run 'make build'`,
  );
}
