/** libbpf by its versioned soname, which needs no -dev package. */
import koffi from "koffi";
import { NotSupportedError } from "../errors.ts";

function open() {
  try {
    return koffi.load("libbpf.so.1");
  } catch (cause) {
    throw new NotSupportedError(
      "libbpf",
      "libbpf.so.1 (1.0 or newer) cannot be loaded: install it, on Debian with 'apt-get install libbpf1'",
      { cause },
    );
  }
}

export const libbpf = open();
