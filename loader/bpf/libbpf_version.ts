/** The version of the system's libbpf. */
import { libbpf_version_string } from "../sys/libbpf.ts";

/** Returns the version without its leading v: `1.1`. */
export const libbpfVersion = (): string => libbpf_version_string().replace(/^v/, "");
