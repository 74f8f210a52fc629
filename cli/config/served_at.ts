/** Where and how /metrics is served: the address, and the file of --web-config. */
import type { MetricsAddress } from "../options/metrics_address.ts";

/**
 * Returns the address with what a file says of it; the file is read even if nothing is served.
 * @param address null: not served
 * @param file undefined: none, and its parser is not loaded
 * @throws AbsentError, ConfigError
 */
export async function servedAt(
  address: MetricsAddress | null,
  file: string | undefined,
): Promise<MetricsAddress | null> {
  if (file === undefined) return address;
  const { readWebConfig } = await import("./web_config.ts");
  const web = readWebConfig(file);
  return address && { ...address, web };
}
