/** The page: one document with its style and script, and a table for browsers without JavaScript. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { formatEndpoint } from "../../loader/core/address.ts";
import type { GroupStatus } from "../../loader/operate/status.ts";
import { printable } from "../../loader/printable.ts";
import { decisionWords, isMigrating } from "../output/decisions.ts";

const fileOf = (name: string) => readFileSync(new URL(name, import.meta.url), "utf8");
const hashOf = (text: string) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;

/** Returns text as HTML; control characters are escaped, too. */
export function escaped(text: string): string {
  return printable(text).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** Its parts, and the header that permits these and nothing else. */
export interface PageParts {
  readonly style: string;
  readonly script: string;
  readonly policy: string;
}

/** Reads the files of the page. */
export function readParts(): PageParts {
  const [style, script] = [fileOf("page.css"), fileOf("page.mjs")];
  const policy = [
    "default-src 'none'",
    `script-src ${hashOf(script)}`,
    `style-src ${hashOf(style)}`,
    "connect-src 'self'",
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; ");
  return { style, script, policy };
}

/** Returns the document with the status at this moment, which the script replaces. */
export function pageMarkup({ style, script }: PageParts, groups: readonly GroupStatus[]): string {
  const host = escaped(hostname());
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>reuseport-migrate on ${host}</title>
<link rel="icon" href="data:,">
<style>${style}</style>
</head>
<body>
<header><h1>reuseport-migrate <small>on ${host}</small></h1></header>
<main id="main">
${tableOf(groups)}
</main>
<script type="module">${script}</script>
</body>
</html>
`;
}

function tableOf(groups: readonly GroupStatus[]): string {
  const head = ["Address", "Service", "Network namespace", "Listeners", "Hold", "Moved", "Lost"];
  const cells = (tag: string, texts: readonly string[]) =>
    texts.map((text) => `<${tag}>${escaped(text)}</${tag}>`).join("");
  const rows = groups.map((group) => `<tr>${cells("td", rowOf(group))}</tr>`);
  const body =
    rows.length > 0 ? rows.join("\n") : '<tr><td colspan="7">nothing is attached</td></tr>';
  return `<table><caption>Attached groups; this page shows them move if JavaScript is on</caption>
<thead><tr>${cells("th", head)}</tr></thead>
<tbody>
${body}
</tbody></table>`;
}

function rowOf(group: GroupStatus): string[] {
  const { key, service, netnsName, hold, holds, decisions } = group;
  const listeners = group.listeners
    .filter(({ role }) => role !== "standby")
    .map(({ owners: [owner], role, generation, queueLength }) => {
      const who = owner ? `${owner.comm} ${owner.pid}` : "?";
      return `${who} (${role}, generation ${generation ?? "-"}, ${queueLength} waiting)`;
    });
  const moved = decisions
    .filter((decision) => isMigrating(decision) && decision.outcome === "selected")
    .reduce((sum, { count }) => sum + count, 0);
  const lost = decisions
    .filter((decision) => isMigrating(decision) && decision.outcome === "dropped")
    .map((decision) => `${decision.count} ${decisionWords(decision).join(" ")}`);
  if (holds.connections.reset > 0) lost.push(`${holds.connections.reset} held, reset`);
  return [
    formatEndpoint(key.family, key.address, key.port),
    service,
    netnsName ?? "own",
    listeners.join("; ") || "none",
    hold === null ? "-" : hold.holding ? `holding ${hold.connections} of ${hold.max}` : "ready",
    String(moved),
    lost.join("; ") || "0",
  ];
}
