/** Versions of what we run on. */
import { libbpf_version_string } from "../sys/libbpf.ts";

/** libbpf's own, without the leading v: `1.1`. */
export const libbpfVersion = (): string => libbpf_version_string().replace(/^v/, "");
