/** A timeline as one HTML file, for a change ticket: no script, nothing from elsewhere. Pure. */
import { formatEndpoint } from "../../loader/core/address.ts";
import type { GroupStatus } from "../../loader/operate/status.ts";
import { printable } from "../../loader/printable.ts";
import { chartOf } from "./chart.ts";
import { binsOf, type Track } from "./timeline.ts";

export interface TimelineReport {
  readonly title: string;
  /** The verdict and what led to it, as the command prints it. */
  readonly verdict: string;
  readonly isBad: boolean;
  readonly host: string;
  /** Ms since 1970. */
  readonly beganMs: number;
  readonly endMs: number;
  readonly commandMs: number | null;
  readonly tracks: readonly Track[];
}

/** Bins of a chart: each is two pixels wide. */
const BINS = 400;

const STYLE = `:root{color-scheme:light dark}
body{font:15px/1.45 system-ui,sans-serif;max-width:1000px;margin:2em auto;padding:0 1em;background:light-dark(#fff,#14171c);color:light-dark(#1b1f24,#e6e9ee)}
h1{font-size:20px}h2{font-size:16px;margin:1.6em 0 .4em}pre{white-space:pre-wrap;border-left:4px solid light-dark(#0b6e4f,#4cc38a);padding:.4em .8em;background:light-dark(#f2f4f6,#1d2229)}
pre.bad{border-color:light-dark(#b3001b,#ff7b86)}svg{width:100%;height:auto}text{font-size:12px;fill:light-dark(#57606a,#9aa5b1)}.most,.tick{font-size:10px}.tick,.end{text-anchor:middle}
.band{fill:light-dark(#b7d9cb,#2c6b50)}.opened{fill:light-dark(#6b7682,#8b96a3)}.queued,.halfOpen{fill:light-dark(#a97a00,#d9a62e)}.migrated,.held{fill:light-dark(#0a5bb5,#6cb6ff)}.lost{fill:light-dark(#b3001b,#ff7b86)}
.base{stroke:light-dark(#c8ced6,#3a424d);fill:none}.marker{stroke:light-dark(#1b1f24,#e6e9ee);stroke-dasharray:3 3;fill:none}`;

export function timelinePage(report: TimelineReport): string {
  const { title, verdict, isBad, host, beganMs, endMs, commandMs, tracks } = report;
  const charts = tracks.map((track) => {
    const bins = binsOf(track, endMs, BINS);
    const read = `read every ${Math.round(bins.readingMs)} ms, shown by ${bins.binMs} ms`;
    return `<h2>${html(nameOf(track.last))}</h2>\n<p>${read}</p>\n${chartOf(bins, { endMs, commandMs })}`;
  });
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="content-security-policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${html(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${html(title)}</h1>
<p>${html(host)}, ${new Date(beganMs).toISOString()}, ${(endMs / 1_000).toFixed(1)} s</p>
<pre${isBad ? ' class="bad"' : ""}>${html(verdict)}</pre>
${charts.join("\n") || "<p>no group was attached</p>"}
</body>
</html>
`;
}

function nameOf({ key, service, netnsName }: GroupStatus): string {
  const netns = netnsName === null ? "" : `, netns ${netnsName}`;
  return `${formatEndpoint(key.family, key.address, key.port)}, service ${service}${netns}`;
}

/** Returns text as HTML; control characters are escaped, lines kept. */
function html(text: string): string {
  const lines = text.split("\n").map(printable).join("\n");
  return lines.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
