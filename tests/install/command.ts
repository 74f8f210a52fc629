/** The installed command, run as by a shell with a given PATH. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

export interface Status {
  readonly groups: readonly {
    readonly port: number;
    readonly attached: boolean;
    readonly attachments: number;
    readonly listeners: readonly { readonly role: string }[];
  }[];
}

export class Command {
  readonly path: string;
  readonly env: NodeJS.ProcessEnv;

  constructor(path: string, PATH: string) {
    this.path = path;
    this.env = { PATH };
  }

  async run(...args: string[]): Promise<string> {
    const { stdout } = await run(this.path, args, { env: this.env, cwd: "/" });
    return stdout;
  }

  async status(): Promise<Status> {
    return JSON.parse(await this.run("status", "--json")) as Status;
  }
}
