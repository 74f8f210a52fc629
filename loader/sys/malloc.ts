/** Memory that was freed and that malloc keeps. */
import koffi from "koffi";

/** malloc_trim(3): gives it back to the kernel. Only glibc has it; elsewhere nothing happens. */
export function trimMemory(): void {
  try {
    koffi.load(null).func("int malloc_trim(size_t pad)")(0);
  } catch {
    // musl keeps little
  }
}
