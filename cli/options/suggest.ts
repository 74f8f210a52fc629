/** What a word that is not known was meant to be. Pure. */

/** Letters that may be wrong in a word. */
const FAR = 2;

/** `: did you mean 'migrate'?`, or which there are. */
export function suggestion(word: string, known: readonly string[]): string {
  const [best] = known
    .map((candidate) => ({ candidate, far: distance(word.toLowerCase(), candidate) }))
    .filter(({ far, candidate }) => far <= Math.min(FAR, candidate.length - 1))
    .toSorted((a, b) => a.far - b.far);
  return best ? `: did you mean '${best.candidate}'?` : `: there are ${known.join(", ")}`;
}

/** Letters to insert, remove or replace (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
