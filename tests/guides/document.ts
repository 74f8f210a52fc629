/** A guide as data: the commands and files of each section. Pure. */

/** A command block, or a file whose path is the comment in its first line. */
export type Step = { readonly commands: string } | { readonly file: string; readonly text: string };

/** Returns the steps of each `##` section, in order, by the section's heading. */
export function sectionsOf(markdown: string): ReadonlyMap<string, readonly Step[]> {
  const sections = new Map<string, Step[]>();
  let steps: Step[] = [];
  for (const [part, , heading, language, text = ""] of markdown.matchAll(
    /^(## (.*)|```(\w*)\n([\s\S]*?)^```)$/gm,
  )) {
    if (part.startsWith("##")) {
      steps = [];
      sections.set(heading ?? "", steps);
      continue;
    }
    const path = /^(?:#|\/\/|;) (\/\S+)$/m.exec(text.split("\n", 1)[0] ?? "")?.[1];
    if (language === "sh") steps.push({ commands: text });
    else if (path !== undefined) steps.push({ file: path, text });
  }
  return sections;
}

/** Returns the commands without us: what `run` would run, and the time in which it looks. */
export const without = (commands: string): string =>
  commands.replace(/^reuseport-migrate run (?:.* )?-- (.*)$/gm, "$1; sleep 1");
