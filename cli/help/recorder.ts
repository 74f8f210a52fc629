/** Records the definition of a command, instead of parsing a command line with it. */
import type { Argv, CommandModule, Options } from "yargs";

/** The part of yargs that our commands use. */
export class Recorder {
  readonly positionals = new Map<string, Options>();
  readonly optionsByName = new Map<string, Options>();
  readonly examples: { readonly command: string; readonly text: string }[] = [];
  readonly notes: string[] = [];
  readonly commands: CommandModule[] = [];
  usageText: string | undefined;

  /** Returns the definition that a command's builder makes. */
  static of({ builder }: CommandModule): Recorder {
    const recorder = new Recorder();
    if (typeof builder === "function") builder(recorder as unknown as Argv);
    return recorder;
  }

  usage(text: string): this {
    this.usageText = text;
    return this;
  }

  positional(name: string, options: Options): this {
    this.positionals.set(name, options);
    return this;
  }

  option(name: string, options: Options): this {
    this.optionsByName.set(name, options);
    return this;
  }

  options(all: Readonly<Record<string, Options>>): this {
    for (const [name, options] of Object.entries(all)) this.option(name, options);
    return this;
  }

  example(command: string, text: string): this {
    this.examples.push({ command, text });
    return this;
  }

  epilogue(text: string): this {
    this.notes.push(text);
    return this;
  }

  command(module: CommandModule): this {
    this.commands.push(module);
    return this;
  }
}
