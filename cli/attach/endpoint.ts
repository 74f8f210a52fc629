/** /metrics of a sidecar that may be asked to serve it elsewhere. */
import { isDeepStrictEqual } from "node:util";
import type { Status } from "../../loader/index.ts";
import { type MetricsAddress, type MetricsServer, serveMetrics } from "../server.ts";

export class Endpoint {
  readonly #status: () => Status;
  #address: MetricsAddress | null = null;
  #server: MetricsServer | null = null;

  constructor(status: () => Status) {
    this.#status = status;
  }

  /** Where it is served, or `off`. */
  get url(): string {
    return this.#server?.url ?? "off";
  }

  /** @throws ConflictError when the address is taken; it is then served where it was */
  async serveAt(address: MetricsAddress | null): Promise<void> {
    if (isDeepStrictEqual(address, this.#address)) return;
    const before = this.#address;
    // The old one first: the new address may be of the same port.
    await this.close();
    try {
      if (address) this.#server = await serveMetrics(address, this.#status);
      this.#address = address;
    } catch (error) {
      if (before) this.#server = await serveMetrics(before, this.#status);
      this.#address = before;
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#server?.close();
    this.#server = null;
    this.#address = null;
  }
}
