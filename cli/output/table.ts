/** Text in columns. Pure. */

/**
 * Returns the lines of a table; columns are as wide as their widest cell, numbers right-aligned.
 */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const all = [header, ...rows];
  const widths = header.map((_, i) => Math.max(...all.map((row) => row[i]?.length ?? 0)));
  const numeric = header.map((_, i) => rows.every((row) => /^[-\d./]*$/.test(row[i] ?? "")));
  return all.map((row) =>
    row
      .map((cell, i) => (numeric[i] ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)))
      .join("  ")
      .trimEnd(),
  );
}
