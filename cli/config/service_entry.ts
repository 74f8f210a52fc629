/** One service of a config file. */
import type { ServiceOptions } from "../../loader/sidecar/service.ts";
import type { Words } from "../options/service.ts";

/** One service of a file. */
export interface NamedService {
  readonly name: string;
  readonly listen: readonly string[];
  readonly words: Words;
  readonly options: ServiceOptions;
}
