/** Writes the copyright file of a package to stdout: our licence, and those of what it bundles. */
import { readFileSync } from "node:fs";
import { type Bundled, licenceText, nodeRuntime, npmPackages, ROOT } from "./bundled.ts";

/** Returns a text as the value of a field. */
const indented = (text: string): string =>
  text
    .trim()
    .split("\n")
    .map((line) => (line.trim() === "" ? " ." : ` ${line.trimEnd()}`))
    .join("\n");

function stanza(files: string, license: string, text: string): string {
  const holders = text
    .split("\n")
    .filter((line) => /^\W*(copyright )?(\(c\)|©|copyright \d)/i.test(line.trim()))
    .map((line) => line.trim().replace(/^.*?(copyright\s+)?(\(c\)|©|copyright)\s*/i, ""));
  const copyright = [...new Set(holders)].join("\n           ") || "see the license";
  return `Files: ${files}\nCopyright: ${copyright}\nLicense: ${license}\n${indented(text)}`;
}

const bundled = ({ name, path, license }: Bundled, text: string): string =>
  stanza(`usr/lib/reuseport-migrate/${path}/*`, `${license}-${name.replaceAll(/\W+/g, "-")}`, text);

const node = nodeRuntime();
const stanzas = [
  "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: reuseport-migrate",
  stanza("*", "MIT", readFileSync(`${ROOT}LICENSE`, "utf8")),
  `Files: usr/lib/reuseport-migrate/bin/node
Copyright: Node.js contributors, and the authors that the license names
License: ${node.license}-node
${indented(licenceText(node))}`,
  ...npmPackages().map((each) => bundled(each, licenceText(each))),
];
process.stdout.write(`${stanzas.join("\n\n")}\n`);
