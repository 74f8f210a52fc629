/** A config file as a tree of keys and values that know where they stand. YAML; JSON is YAML too. */
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
} from "yaml";
import { UsageError } from "../../loader/errors.ts";

/** A file with mistakes: all of them, in the order of its lines. */
export class ConfigError extends UsageError {
  override name = "ConfigError";
  /** `FILE:LINE: services.web.route: ...` */
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.problems = problems;
  }
}

/** One file, and what is wrong with it. */
export class ConfigDocument {
  readonly file: string;
  readonly root: Value;
  readonly #problems: { readonly line: number; readonly text: string }[] = [];
  readonly #lines = new LineCounter();
  readonly #document: Document;

  constructor(file: string, text: string) {
    this.file = file;
    const document = parseDocument(text, {
      lineCounter: this.#lines,
      prettyErrors: false,
      uniqueKeys: false, // said by Value.entries, with the path
    });
    this.#document = document;
    for (const { message, pos } of [...document.errors, ...document.warnings]) {
      this.note(this.line(pos[0]), message);
    }
    this.root = new Value(this, "", 1, document.contents);
  }

  note(line: number, text: string): void {
    this.#problems.push({ line, text: `${this.file}:${line}: ${text}` });
  }

  /** @throws ConfigError with everything that was noted */
  refuse(): void {
    if (this.#problems.length === 0) return;
    const sorted = this.#problems.toSorted((a, b) => a.line - b.line).map(({ text }) => text);
    throw new ConfigError([...new Set(sorted)]);
  }

  /** Problems so far. */
  get count(): number {
    return this.#problems.length;
  }

  line(offset: number): number {
    return Math.max(1, this.#lines.linePos(offset).line);
  }

  /** What an alias (`*name`) stands for. */
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

  /** Says what is wrong with it. */
  note(text: string): void {
    this.document.note(this.line, this.path ? `${this.path}: ${text}` : text);
  }

  get isMap(): boolean {
    return isMap(this.#node);
  }

  /** Its keys and their values; a key that is there twice is said. */
  entries(): Map<string, Value> {
    const found = new Map<string, Value>();
    if (!isMap(this.#node)) {
      this.note("must be a map of keys to values");
      return found;
    }
    for (const { key, value } of this.#node.items) {
      const name = isScalar(key) ? String(key.source ?? key.value) : String(key);
      const start = (key as Node | null)?.range?.[0];
      const line = start === undefined ? this.line : this.document.line(start);
      const child = new Value(
        this.document,
        this.path ? `${this.path}.${name}` : name,
        line,
        value,
      );
      const before = found.get(name);
      if (before) child.note(`is given twice, first in line ${before.line}`);
      else found.set(name, child);
    }
    return found;
  }

  /** The values of a list, or itself. */
  items(): Value[] {
    if (!isSeq(this.#node)) return [this];
    return this.#node.items.map((item) => {
      const start = (item as Node | null)?.range?.[0];
      const line = start === undefined ? this.line : this.document.line(start);
      return new Value(this.document, this.path, line, item);
    });
  }

  /** Text as it stands there, numbers too. */
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
}
