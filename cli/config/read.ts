/** Reads a config file. */
import { readFileSync } from "node:fs";
import { UsageError } from "../../loader/errors.ts";
import { type Config, parseConfig } from "./schema.ts";

/** @throws UsageError if the file cannot be read, ConfigError with every mistake in it */
export function readConfig(file: string): Config {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new UsageError(`--config ${file} cannot be read: ${(error as Error).message}`);
  }
  return parseConfig(file, text);
}
