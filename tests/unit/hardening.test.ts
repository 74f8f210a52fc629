/** The settings of a hardened kernel, as the kernel writes them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { forbidsKernelReads, forbidsTracing } from "../../loader/hardening.ts";

test("kernel.yama.ptrace_scope forbids tracing to root with 3 only", () => {
  assert.deepEqual(
    ["0\n", "1\n", "2\n", "3\n", null].map((text) => forbidsTracing(text)),
    [false, false, false, true, false],
  );
});

test("lockdown forbids reads of kernel memory in the mode confidentiality only", () => {
  const modes = [
    "[none] integrity confidentiality\n",
    "none [integrity] confidentiality\n",
    "none integrity [confidentiality]\n",
    null,
  ];
  assert.deepEqual(
    modes.map((text) => forbidsKernelReads(text)),
    [false, false, true, false],
  );
});
