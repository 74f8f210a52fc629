/** Memory that was freed but that malloc keeps for later allocations. */
import koffi from "koffi";

/** malloc_trim(3): returns free memory to the kernel. Does nothing without glibc. */
export function trimMemory(): void {
  try {
    koffi.load(null).func("int malloc_trim(size_t pad)")(0);
  } catch {
    // musl has no malloc_trim(), and its malloc keeps little.
  }
}
