/** The line on stdout that says that a process is ready, for the script that started it. Pure. */

/**
 * Returns `READY groups=1 listeners=2`, or the same facts as a line of the JSON log has them.
 * @param facts `groups=1 listeners=2`
 */
export function readyLine(word: "READY" | "ATTACHED", facts: string, json: boolean): string {
  if (!json) return `${word} ${facts}\n`;
  const entries = facts.split(" ").map((fact) => {
    const [name = "", ...value] = fact.split("=");
    const text = value.join("=");
    return [name, /^\d+$/.test(text) ? Number(text) : text];
  });
  const line = { level: "info", event: word.toLowerCase(), msg: facts };
  return `${JSON.stringify({ ...line, ...Object.fromEntries(entries) })}\n`;
}
