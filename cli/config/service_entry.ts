/** One service of a config file. */
import type { ServiceOptions } from "../../loader/sidecar/service.ts";
import type { ServiceWords } from "../options/service.ts";

/** One service of a file. */
export interface NamedService {
  readonly name: string;
  readonly listen: readonly string[];
  readonly words: ServiceWords;
  readonly options: ServiceOptions;
}
