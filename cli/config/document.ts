/** A config file as a tree of values, each with its path and line. YAML; JSON is YAML too. */
import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
} from "yaml";
import { UsageError } from "../../loader/errors.ts";
import { OptionError } from "../options/values.ts";

/** Every mistake in a file, in the order of its lines. */
export class ConfigError extends UsageError {
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
  readonly #document: Document;

  constructor(file: string, text: string) {
    this.#file = file;
    // Value.entries() reports a repeated key, with its path.
    const options = { lineCounter: this.#lines, prettyErrors: false, uniqueKeys: false };
    this.#document = parseDocument(text, options);
    const { errors, warnings, contents } = this.#document;
    for (const { message, pos } of [...errors, ...warnings]) this.note(this.#line(pos[0]), message);
    this.root = new Value(this, "", 1, contents);
  }

  note(line: number, text: string): void {
    this.#problems.push({ line, text: `${this.#file}:${line}: ${text}` });
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
    return isAlias(node) ? node.resolve(this.#document) : node;
  }
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
      const name = isScalar(key) ? String(key.source ?? key.value) : String(key);
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
