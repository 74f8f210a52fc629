/** One service of a config file, or of a command line. */
import type { ServiceOptions } from "../../loader/sidecar/service.ts";
import type { ServiceValues } from "../options/service.ts";

export interface NamedService {
  readonly name: string;
  /** Its SPECs as text. */
  readonly listen: readonly string[];
  readonly values: ServiceValues;
  readonly options: ServiceOptions;
}
