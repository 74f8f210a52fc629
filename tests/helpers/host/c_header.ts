/** Values of C expressions, by the compiler. */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { TempDir } from "./child.ts";

/** Returns the path of a header from its path in the source tree. */
export function headerPath(header: string): string {
  return fileURLToPath(new URL(`../../../../${header}`, import.meta.url));
}

/** Evaluates integer expressions after an #include of the header. */
export function evaluate(header: string, expressions: readonly string[]): Record<string, number> {
  using dir = new TempDir();
  const lines = expressions.map(
    (it) => `printf("%s\\"%s\\": %zu", sep, "${it}", (size_t)(${it})), sep = ",";`,
  );
  const source = `#include <stddef.h>
#include <stdio.h>
#include "${headerPath(header)}"
int main(void) { const char *sep = ""; putchar('{'); ${lines.join("\n")} puts("}"); }`;
  const program = dir.file("program");
  execFileSync("clang", ["-x", "c", "-", "-o", program], { input: source });
  return JSON.parse(execFileSync(program, { encoding: "utf8" }));
}
