/** Suggestions for a misspelled word. Pure. */

/** Returns the most letters that may be wrong: a third of a short word, two of a long one. */
const maxDistance = (word: string) => Math.min(2, Math.round(word.length / 3));

/** Returns the known word that is closest to `word`, or undefined if none is close. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const [best] = known
    .map((candidate) => ({ candidate, far: distance(word.toLowerCase(), candidate) }))
    .filter(({ far, candidate }) => far <= maxDistance(candidate))
    .toSorted((a, b) => a.far - b.far);
  return best?.candidate;
}

/** Returns `: did you mean 'migrate'?`, or a list of the known words if none is close. */
export function suggestion(word: string, known: readonly string[]): string {
  const best = nearest(word, known);
  return best ? `: did you mean '${best}'?` : `: write one of ${known.join(", ")}`;
}

/** Counts the letters to insert, remove or replace (Levenshtein). */
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
