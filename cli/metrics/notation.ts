/** The two notations of a scrape: Prometheus' text format, and OpenMetrics if it is asked for. Pure. */

const OPEN_METRICS = "application/openmetrics-text";

/** Content-Type of OpenMetrics, and of Prometheus' text format. */
const CONTENT_TYPES = {
  openMetrics: `${OPEN_METRICS}; version=1.0.0; charset=utf-8`,
  text: "text/plain; version=0.0.4; charset=utf-8",
} as const;

export interface Notation {
  readonly contentType: string;
  /** Returns a text of the text format in this notation. */
  write(text: string): string;
}

const TEXT: Notation = { contentType: CONTENT_TYPES.text, write: (text) => text };
const OPEN: Notation = { contentType: CONTENT_TYPES.openMetrics, write: openMetrics };

/** @param accept the request's header Accept (RFC 9110, 12.5.1) */
export function notationFor(accept = ""): Notation {
  const open = quality(accept, OPEN_METRICS);
  return open > 0 && open >= quality(accept, "text/plain") ? OPEN : TEXT;
}

/** Returns the weight of a media type that is listed, the highest of all its versions; otherwise 0. */
function quality(accept: string, type: string): number {
  const weights = accept.split(",").map((range) => {
    const [name = "", ...parameters] = range.split(";").map((part) => part.trim().toLowerCase());
    if (name !== type) return 0;
    const q = parameters.find((each) => each.startsWith("q="));
    return q === undefined ? 1 : Number(q.slice(2)) || 0;
  });
  return Math.max(...weights);
}

const FAMILY = "\n# HELP ";
/** What follows that in the family of a counter. */
const COUNTER = /^(\S+)_total (.*)\n# TYPE \S+ /;

/**
 * Returns the text in OpenMetrics 1.0: a counter's family is named without `_total`, no line is
 * empty, and the last one says that the text is whole.
 */
export function openMetrics(text: string): string {
  const families = `\n${text}`.split(FAMILY).map((family) => family.trimEnd());
  const written = families.map((family) => family.replace(COUNTER, "$1 $2\n# TYPE $1 "));
  return `${written.join(FAMILY).slice(1)}\n# EOF\n`;
}
