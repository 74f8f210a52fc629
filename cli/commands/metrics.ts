/** metrics: prints the exposition text once. */
import type { Argv, CommandModule } from "yargs";
import type { Env } from "../env.ts";
import { bpffsOf, bpffsOption } from "../options/pinned.ts";

interface Arguments {
  readonly bpffs: string | undefined;
}

function options(yargs: Argv): Argv<Arguments> {
  return yargs
    .option("bpffs", bpffsOption)
    .example(
      "$0 metrics > /var/lib/prometheus/node-exporter/reuseport_migrate.prom",
      "for node_exporter's textfile collector",
    );
}

async function run(env: Env, args: Arguments): Promise<void> {
  const [{ readStatus }, { Exporter, collected }] = await Promise.all([
    import("../../loader/operate/status_reader.ts"),
    import("../metrics/exporter.ts"),
  ]);
  // Before the exporter, which would answer an error with an empty exposition.
  const status = readStatus(bpffsOf(args.bpffs));
  const warn = (text: string) => env.stderr.write(`reuseport-migrate: ${text}\n`);
  env.stdout.write(await new Exporter({ process: false, warn }).scrape(collected(status)));
}

export function metricsCommand(env: Env): CommandModule<object, Arguments> {
  return {
    command: "metrics",
    describe: "Print the Prometheus metrics once; works without a sidecar",
    builder: options,
    handler: (args) => run(env, args),
  };
}
