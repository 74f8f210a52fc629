/**
 * Where a process serves /metrics. An address that is taken never keeps the process from its work:
 * the log names the process that has it, and the address is tried again.
 */
import { isDeepStrictEqual } from "node:util";
import { ConflictError } from "../../loader/errors.ts";
import type { MetricsAddress } from "../options/metrics_address.ts";
import { type LastingLog, warning } from "../output/log.ts";
import type { MetricsServer } from "./server.ts";

/** Time between two tries of an address that is taken, ms. */
const RETRY_MS = 5_000;
/** Groups of another sidecar that a warning names. */
const NAMED_GROUPS = 3;

export interface EndpointOptions {
  /** @throws ConflictError if the address is taken */
  readonly serve: (address: MetricsAddress) => Promise<MetricsServer>;
  readonly log: LastingLog["log"];
  /** Where the pins of another sidecar are looked up. */
  readonly bpffs?: string | undefined;
  readonly retryMs?: number;
}

export class Endpoint {
  readonly #options: EndpointOptions;
  /** null: /metrics is off. */
  #address: MetricsAddress | null = null;
  /** null: the address is taken. */
  #server: MetricsServer | null = null;
  #retry: NodeJS.Timeout | undefined;

  constructor(options: EndpointOptions) {
    this.#options = options;
  }

  /** The URL it is served at, `off`, or `taken`. */
  get url(): string {
    return this.#server?.url ?? (this.#address === null ? "off" : "taken");
  }

  /** Serves /metrics at an address: as soon as it is free, if it is taken. */
  async open(address: MetricsAddress | null): Promise<void> {
    this.#address = address;
    if (address === null) return;
    try {
      this.#server = await this.#options.serve(address);
    } catch (error) {
      if (!(error instanceof ConflictError)) throw error;
      const holder = await this.#holderText(address, error);
      this.#options.log(warning("metrics", `${error.message}${holder}; trying again`));
      this.#tryLater(address);
    }
  }

  /**
   * Serves /metrics at another address.
   * @throws ConflictError if the address is taken; /metrics is then served where it was
   */
  async serveAt(address: MetricsAddress | null): Promise<void> {
    if (isDeepStrictEqual(address, this.#address)) return;
    const before = this.#address;
    // Closed first: the new address may have the same port.
    await this.close();
    try {
      if (address) this.#server = await this.#options.serve(address);
      this.#address = address;
    } catch (error) {
      await this.open(before);
      throw error;
    }
  }

  async close(): Promise<void> {
    clearTimeout(this.#retry);
    this.#address = null;
    const server = this.#server;
    this.#server = null;
    await server?.close();
  }

  #tryLater(address: MetricsAddress): void {
    const { retryMs = RETRY_MS } = this.#options;
    this.#retry = setTimeout(() => void this.#tryAgain(address), retryMs).unref();
  }

  async #tryAgain(address: MetricsAddress): Promise<void> {
    const server = await this.#options.serve(address).catch(() => null);
    if (this.#address !== address) {
      await server?.close(); // closed or changed meanwhile
    } else if (server === null) {
      this.#tryLater(address);
    } else {
      this.#server = server;
      const text = `the address is free: /metrics is served at ${server.url}`;
      this.#options.log({ level: "info", event: "metrics_served", text, fields: {} });
    }
  }

  /** Returns `; node (pid 4711) has it`, and which groups are that sidecar's; or nothing. */
  async #holderText({ host, port }: MetricsAddress, { cause }: Error): Promise<string> {
    if ((cause as NodeJS.ErrnoException | undefined)?.code !== "EADDRINUSE") return "";
    try {
      const { portHolder } = await import("../../loader/operate/port_holder.ts");
      const { bpffs } = this.#options;
      const holder = await portHolder(host, port, bpffs === undefined ? {} : { bpffs });
      if (holder === null) return "";
      const { comm, pid, groups } = holder;
      const more = groups.length > NAMED_GROUPS ? ` and ${groups.length - NAMED_GROUPS} more` : "";
      const named = groups.slice(0, NAMED_GROUPS).join(", ") + more;
      return `; ${comm} (pid ${pid}${named && `, the sidecar of ${named}`}) has it`;
    } catch {
      return ""; // not permitted, or without BPF
    }
  }
}
