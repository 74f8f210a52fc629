/** The /metrics of a sidecar, whose address a reload may change. */
import { isDeepStrictEqual } from "node:util";
import type { Sidecar } from "../../loader/sidecar/sidecar.ts";
import type { MetricsServer, MetricsSource } from "../metrics/server.ts";
import type { MetricsAddress } from "../options/metrics_address.ts";

export class Endpoint {
  readonly #source: MetricsSource;
  #address: MetricsAddress | null = null;
  #server: MetricsServer | null = null;

  constructor(sidecar: Pick<Sidecar, "status" | "store">, warn: MetricsSource["warn"]) {
    this.#source = {
      collect: (each) => sidecar.status(each),
      store: () => sidecar.store,
      warn,
    };
  }

  /** The URL it is served at, or `off`. */
  get url(): string {
    return this.#server?.url ?? "off";
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
      if (address) this.#server = await this.#serve(address);
      this.#address = address;
    } catch (error) {
      if (before) this.#server = await this.#serve(before);
      this.#address = before;
      throw error;
    }
  }

  async #serve(address: MetricsAddress): Promise<MetricsServer> {
    const { serveMetrics } = await import("../metrics/server.ts");
    return serveMetrics(address, this.#source);
  }

  async close(): Promise<void> {
    await this.#server?.close();
    this.#server = null;
    this.#address = null;
  }
}
