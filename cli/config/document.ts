/** A config file as a tree of values, each with its path and line. YAML; JSON is YAML too. */
import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  visit,
} from "yaml";
import { AbsentError, UsageError } from "../../loader/errors.ts";
import { printable } from "../../loader/printable.ts";
import { OptionError } from "../options/values.ts";

/** Every mistake in a file, in the order of its lines. */
export class ConfigError extends AbsentError {
  override name = "ConfigError";
  /** `FILE:LINE: services.web.route: ...` */
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.problems = problems;
  }
}

/** A parsed file and the mistakes found in it. */
export class ConfigDocument {
  readonly root: Value;
  readonly #file: string;
  readonly #problems: { readonly line: number; readonly text: string }[] = [];
  readonly #lines = new LineCounter();
  /** The node of each alias (`*name`). */
  readonly #targets: ReadonlyMap<unknown, Node | undefined>;

  constructor(file: string, text: string) {
    this.#file = file;
    // Value.entries() reports a repeated key, with its path.
    const options = { lineCounter: this.#lines, prettyErrors: false, uniqueKeys: false };
    const document = parseDocument(text, options);
    const { errors, warnings, contents } = document;
    for (const { message, pos } of [...errors, ...warnings]) {
      this.note(this.#line(pos[0]), TOO_DEEP.test(message) ? "is nested too deeply" : message);
    }
    this.#targets = errors.length > 0 ? new Map() : targetsOf(document);
    this.root = new Value(this, "", 1, contents);
  }

  note(line: number, text: string): void {
    this.#problems.push({ line, text: `${this.#file}:${line}: ${printable(text)}` });
  }

  /** Throws the mistakes noted so far, if any. @throws ConfigError */
  refuse(): void {
    if (this.#problems.length === 0) return;
    const sorted = this.#problems.toSorted((a, b) => a.line - b.line).map(({ text }) => text);
    throw new ConfigError([...new Set(sorted)]);
  }

  /** Counts the mistakes noted so far. */
  get count(): number {
    return this.#problems.length;
  }

  /** Returns the line of a node, or undefined if the node has no position. */
  lineOf(node: unknown): number | undefined {
    return isNode(node) && node.range ? this.#line(node.range[0]) : undefined;
  }

  #line(offset: number): number {
    return Math.max(1, this.#lines.linePos(offset).line);
  }

  /** Returns the node that an alias (`*name`) refers to; any other node as it is. */
  resolve(node: unknown): unknown {
    return isAlias(node) ? this.#targets.get(node) : node;
  }
}

/** What the parser says when its recursion ends. */
const TOO_DEEP = /call stack/;

/** Returns the node of each alias: the last one before it with that anchor. */
function targetsOf(document: Document): Map<unknown, Node | undefined> {
  const targets = new Map<unknown, Node | undefined>();
  const anchors = new Map<string, Node>();
  visit(document, (_, node) => {
    if (isAlias(node)) targets.set(node, anchors.get(node.source));
    else if (isNode(node) && node.anchor) anchors.set(node.anchor, node);
  });
  return targets;
}

/** A value in the file. */
export class Value {
  readonly path: string;
  readonly line: number;
  readonly document: ConfigDocument;
  readonly #node: unknown;

  constructor(document: ConfigDocument, path: string, line: number, node: unknown) {
    this.document = document;
    this.path = path;
    this.line = line;
    this.#node = document.resolve(node);
  }

  /** Notes a mistake. */
  note(text: string): void {
    this.document.note(this.line, this.path ? `${this.path}: ${text}` : text);
  }

  /** Calls a check with the label of this value; notes its error and returns undefined. */
  attempt<T>(check: (label: string) => T): T | undefined {
    try {
      return check(`${this.path}:`);
    } catch (error) {
      if (error instanceof OptionError) this.document.note(this.line, error.message);
      else if (error instanceof UsageError) this.note(error.message);
      else throw error;
      return undefined;
    }
  }

  get isMap(): boolean {
    return isMap(this.#node);
  }

  /** Returns the values of a map by key; notes a key that is given twice. */
  entries(): Map<string, Value> {
    const found = new Map<string, Value>();
    if (!isMap(this.#node)) {
      this.note("must be a map of keys to values");
      return found;
    }
    for (const { key, value } of this.#node.items) {
      const scalar = this.document.resolve(key);
      if (!isScalar(scalar)) {
        // Its text is not shown: that of maps in keys doubles with each level.
        this.#child(this.path, key, value).note("has a key that is not text");
        continue;
      }
      const name = String(scalar.source ?? scalar.value);
      const child = this.#child(this.path ? `${this.path}.${name}` : name, key, value);
      const first = found.get(name);
      if (first) child.note(`is given twice, first in line ${first.line}`);
      else found.set(name, child);
    }
    return found;
  }

  /** Returns the values of a list; any other value as a list of one. */
  items(): Value[] {
    if (!isSeq(this.#node)) return [this];
    return this.#node.items.map((item) => this.#child(this.path, item, item));
  }

  #child(path: string, at: unknown, node: unknown): Value {
    return new Value(this.document, path, this.document.lineOf(at) ?? this.line, node);
  }

  /** Returns text as written, also of a number; notes any other value. */
  text(): string | undefined {
    const node = this.#node;
    if (isScalar(node) && typeof node.value === "string") return node.value;
    if (isScalar(node) && typeof node.value === "number") return node.source ?? String(node.value);
    this.note("must be text");
    return undefined;
  }

  flag(): boolean | undefined {
    if (isScalar(this.#node) && typeof this.#node.value === "boolean") return this.#node.value;
    this.note("must be true or false");
    return undefined;
  }

  /** Returns the value of an option of this type. */
  ofType(type: "string" | "boolean"): string | boolean | undefined {
    return type === "boolean" ? this.flag() : this.text();
  }
}
