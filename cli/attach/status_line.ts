/** The line that `systemctl status` shows (STATUS=, sd_notify(3)): what is guarded, or why nothing is. */
import { printable } from "../../loader/printable.ts";
import type { Outline } from "../../loader/service/outline.ts";

/** As long as a line of `systemctl status` may be and still be read. */
const MAX_LENGTH = 500;
/** Addresses to name; the number of further ones follows. */
const MAX_NAMED = 4;

/** Sends the line when it changes. */
export class StatusLine {
  readonly #notify: (state: string) => void;
  readonly #read: () => Outline | null;
  #sent = "";
  /** Why the last reload was refused; null: it was not. */
  #refusal: string | null = null;

  constructor(notify: (state: string) => void, read: () => Outline | null) {
    this.#notify = notify;
    this.#read = read;
  }

  /** @param refusal why a reload was refused; null: it was not */
  ready(refusal: string | null = null): void {
    this.#refusal = refusal;
    this.#sent = this.#text();
    this.#notify(`READY=1\nSTATUS=${this.#sent}`);
  }

  update(): void {
    const text = this.#text();
    if (text === this.#sent) return;
    this.#sent = text;
    this.#notify(`STATUS=${text}`);
  }

  #text(): string {
    return outlineText(this.#read(), this.#refusal);
  }
}

export function outlineText(outline: Outline | null, refusal: string | null): string {
  if (outline === null) return "ends";
  const { groups, listeners, holding, unguarded } = outline;
  const guarded = `${counted(groups, "group")}, ${counted(listeners, "listener")}`;
  const parts = [
    ...(refusal === null ? [] : [`reload refused: ${refusal}`]),
    groups === 0 ? "nothing to guard" : guarded,
    ...(holding.length === 0 ? [] : [`holds clients of ${some(holding)}`]),
    ...unguarded,
  ];
  const text = printable(parts.join("; "));
  return text.length <= MAX_LENGTH ? text : `${text.slice(0, MAX_LENGTH - 3)}...`;
}

const counted = (count: number, what: string) => `${count} ${what}${count === 1 ? "" : "s"}`;

function some(names: readonly string[]): string {
  const others = names.length - MAX_NAMED;
  return names.slice(0, MAX_NAMED).join(", ") + (others > 0 ? ` and ${others} more` : "");
}
