/** /metrics of a sidecar that may be asked to serve it elsewhere. */
import { isDeepStrictEqual } from "node:util";
import type { Sidecar } from "../../loader/sidecar/sidecar.ts";
import type { MetricsServer } from "../metrics/server.ts";
import type { MetricsAddress } from "../options/metrics_address.ts";

export class Endpoint {
  readonly #sidecar: Pick<Sidecar, "status" | "store">;
  #address: MetricsAddress | null = null;
  #server: MetricsServer | null = null;

  constructor(sidecar: Pick<Sidecar, "status" | "store">) {
    this.#sidecar = sidecar;
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
      if (address) this.#server = await this.#serve(address);
      this.#address = address;
    } catch (error) {
      if (before) this.#server = await this.#serve(before);
      this.#address = before;
      throw error;
    }
  }

  async #serve(address: MetricsAddress): Promise<MetricsServer> {
    const sidecar = this.#sidecar;
    const { serveMetrics } = await import("../metrics/server.ts");
    return serveMetrics(
      address,
      (each) => sidecar.status(each),
      () => sidecar.store,
    );
  }

  async close(): Promise<void> {
    await this.#server?.close();
    this.#server = null;
    this.#address = null;
  }
}
