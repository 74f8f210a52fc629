/** attach(): a sidecar in the caller's process. */
import { statusJson } from "../cli/output/status_json.ts";
import type { StatusReport } from "../cli/output/status_report.ts";
import type { Sidecar } from "../loader/sidecar/sidecar.ts";
import { type AttachOptions, sidecarOptions } from "./options.ts";

/** A running sidecar. It keeps the process alive until it has ended. */
export interface Attachment extends AsyncDisposable {
  /**
   * Resolves once the sidecar has ended: after {@link close}, or, without `wait`, after another
   * command has detached its last group. Rejects with the error of that end.
   */
  readonly ended: Promise<void>;
  /** Reads the groups of this sidecar, as {@link status} does. @throws Error after the end */
  status(): Promise<StatusReport>;
  /**
   * Detaches every group and ends. With `keep`, as with `--keep`, everything stays attached and
   * pinned: the program goes on with its last targets until a sidecar takes over, or `detach`.
   */
  close(options?: { readonly keep?: boolean }): Promise<void>;
}

/**
 * Attaches to the listeners of running servers, and manages them until it is closed: what
 * `reuseport-migrate attach` does, in this process.
 *
 * @param specs one or more listen addresses: `":443"`, `"192.0.2.7:443"`, `"[::]:443"`, `":*"`
 * @returns once everything that matches is attached. If no group could be attached, the first
 *   refusal is thrown, unless `wait` is set; any other refusal is logged and tried again.
 * @throws {@link UsageError} for a SPEC or an option
 * @throws {@link NoMatchError} if nothing listens there, unless `wait` is set
 * @throws {@link PermissionError} if the process is neither root nor has the capabilities
 * @throws {@link NotSupportedError} if the kernel, bpffs or libbpf do not suffice
 * @throws {@link ConflictError} if another program, sidecar or version has the group
 */
export async function attach(
  specs: string | readonly string[],
  options: AttachOptions = {},
): Promise<Attachment> {
  const wanted = sidecarOptions(specs, options);
  // It loads libbpf: a host without it can import this module.
  const { Sidecar } = await import("../loader/sidecar/sidecar.ts");
  const sidecar = new Sidecar(wanted, options.log);
  await sidecar.start();
  return new RunningAttachment(sidecar);
}

class RunningAttachment implements Attachment {
  readonly ended: Promise<void>;
  readonly #sidecar: Sidecar;
  readonly #end: (result: Promise<void>) => void;

  constructor(sidecar: Sidecar) {
    this.#sidecar = sidecar;
    const { promise, resolve } = withResolvers();
    this.ended = promise;
    promise.catch(() => {}); // without a reader it is no unhandled rejection
    this.#end = resolve;
    sidecar.watch({ released: () => void this.close().catch(() => {}) });
  }

  async status(): Promise<StatusReport> {
    return statusJson(await this.#sidecar.status());
  }

  close(options: { readonly keep?: boolean } = {}): Promise<void> {
    this.#end(this.#sidecar.close(options));
    return this.ended;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** Promise.withResolvers() of Node 22. */
function withResolvers() {
  let resolve: (result: Promise<void>) => void = () => {};
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
