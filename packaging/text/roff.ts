/** Text and Markdown as roff for man(1). Pure. */

/** Returns text with nothing left that roff would interpret. */
export function plain(text: string): string {
  return text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replaceAll("'", "\\(aq")
    .replace(/^\./, "\\&.");
}

/** Returns text whose `code` is bold and whose links are their text. */
export function prose(text: string): string {
  return text
    .replaceAll(/\[([^\]]+)\]\([^)]+\)/g, "$1")
    .split(/(`[^`]+`|\*\*[^*]+\*\*)/)
    .map((part) => {
      const [, bold] = /^(?:`|\*\*)(.+?)(?:`|\*\*)$/.exec(part) ?? [];
      return bold === undefined ? plain(part) : `\\fB${plain(bold)}\\fP`;
    })
    .join("");
}

export const heading = (text: string): string => `.SH ${plain(text.toUpperCase())}`;
export const paragraph = (text: string): string => `.PP\n${prose(text)}`;
export const item = (tag: string, text: string): string => `.TP\n${prose(tag)}\n${prose(text)}`;

export function example(lines: readonly string[]): string {
  return [".PP", ".RS 4", ".nf", ...lines.map(plain), ".fi", ".RE"].join("\n");
}

/** Returns a page's first lines. */
export function title(name: string, section: number, version: string, summary: string): string {
  return [
    `.TH ${plain(name.toUpperCase())} ${section} "" "reuseport\\-migrate ${version}"`,
    ".nh",
    ".ad l",
    heading("Name"),
    `${plain(name)} \\- ${plain(summary)}`,
  ].join("\n");
}

/** Translates headings, paragraphs, lists, tables and code blocks. */
export function markdown(text: string): string {
  const blocks = text.replaceAll(/^```.*\n([\s\S]*?)^```$/gm, (all) =>
    all.replaceAll("\n\n", "\n \n"),
  );
  return blocks.split(/\n\n+/).map(block).join("\n");
}

function block(text: string): string {
  const lines = text.trimEnd().split("\n");
  const [first = ""] = lines;
  if (first.startsWith("```")) return example(lines.slice(1, -1));
  if (first.startsWith("#")) return heading(first.replace(/^#+ /, "").replaceAll("`", ""));
  if (first.startsWith("|")) return lines.slice(2).map(row).join("\n");
  if (!/^- /.test(first)) return paragraph(lines.join(" "));
  return text
    .split(/^- /m)
    .slice(1)
    .map((each) => `.IP \\(bu 2\n${prose(each.trim().replaceAll(/\s*\n\s*/g, " "))}`)
    .join("\n");
}

/** Returns a row of a table as a list item: the first cell is the tag. */
function row(line: string): string {
  const cells = line.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));
  const [tag = "", ...rest] = cells.slice(1, -1);
  return item(tag, rest.filter((cell) => cell !== "").join(": "));
}
