/** attach's command line: one service on it, or several in a config file; what they say, checked. */
import type { Argv } from "yargs";
import { UsageError } from "../../loader/errors.ts";
import type { ServiceOptions } from "../../loader/sidecar/service.ts";
import type { ServicesOptions, SidecarOptions } from "../../loader/sidecar/sidecar_options.ts";
import type { NamedService } from "../config/service_entry.ts";
import { type Host, type HostWords, hostOf, hostOptions, overridden } from "../options/host.ts";
import {
  OPTION_NAMES,
  type OptionName,
  type ServiceWords,
  serviceOf,
  serviceOptions,
} from "../options/service.ts";
import { once, specs } from "../options/values.ts";

export function attachOptions(yargs: Argv): Argv<AttachArguments> {
  return yargs
    .positional("spec", {
      type: "string",
      array: true,
      describe: "listen address: ':443' (every address), '192.0.2.7:443', '[::]:443'",
    })
    .options(serviceOptions)
    .option("once", { type: "boolean", describe: "attach, pin and exit" })
    .option("config", {
      type: "string",
      requiresArg: true,
      describe:
        "services from a file in place of SPECs and their options (docs/CONFIG.md); SIGHUP reads it again. --metrics, --bpffs, --store, --keep, --json and --wait override it",
    })
    .option("print-config", {
      type: "boolean",
      describe: "print what is asked for as a config file, all defaults filled in, and exit",
    })
    .options(hostOptions)
    .example("$0 attach :443", "look after every listener on port 443 until stopped")
    .example(
      "$0 attach 0.0.0.0:80 '[::]:80' --route newest --metrics 9200",
      "blue/green: new connections go to the newest start",
    )
    .example("$0 attach :8080 --hold 10s", "stop and start the server: nobody is refused")
    .example("$0 attach :443 --once", "attach and pin, no process stays")
    .example("$0 attach --config /etc/reuseport-migrate.yaml", "many services, one sidecar")
    .example(
      "$0 attach :8080 --adopt --unit app",
      "a Node, Python, Ruby or Go service that does not set SO_REUSEPORT; then restart it once",
    );
}

export interface AttachArguments extends ServiceWords, HostWords {
  readonly spec: string[] | undefined;
  readonly once: boolean | undefined;
  readonly config: string | undefined;
  readonly "print-config": boolean | undefined;
}

/** What is asked for. */
export interface AttachRequest {
  readonly host: Host;
  /** For {@link AttachRequest.host}, as it was said. */
  readonly hostWords: HostWords;
  /** By name, as a config file has them. */
  readonly services: readonly NamedService[];
  readonly sidecar: SidecarOptions | ServicesOptions;
  /** `FILE:LINE: KEY`. */
  where(key: string): string;
}

/** @throws UsageError, ConfigError */
export async function attachRequest(args: AttachArguments): Promise<AttachRequest> {
  const file = once("config", args.config);
  return file === undefined ? fromCommandLine(args) : fromFile(file, args);
}

function fromCommandLine(args: AttachArguments): AttachRequest {
  const wanted = specs(args.spec);
  if (wanted.length === 0) throw new UsageError("a SPEC is missing, or --config FILE");
  if (args.once && args.wait) throw new UsageError("--once and --wait exclude each other");
  const words = wordsOf(args);
  const service = serviceOf(words, wanted, {
    mayCome: false,
    check: (_option, read) => read(),
  });
  if (args.once && service.hold) refuseHoldOnce("--hold");
  // One service a SPEC, as it is named in status and metrics.
  const services = wanted.map((spec) => {
    const options = { ...service, specs: [spec], name: spec.text };
    return { name: spec.text, listen: [spec.text], words, options };
  });
  return { ...hosted(args), services, ...sidecarOf(args, service), where: (key) => `--${key}` };
}

async function fromFile(file: string, args: AttachArguments): Promise<AttachRequest> {
  if (args.spec?.length) throw new UsageError("--config and SPECs exclude each other");
  const given = OPTION_NAMES.find((name) => name !== "wait" && args[name] !== undefined);
  if (given) {
    throw new UsageError(
      `--config and --${given} exclude each other: each service's options are in the file`,
    );
  }
  const { readConfig } = await import("../config/read.ts");
  const config = readConfig(file);
  const services = config.services.map((service) => waiting(service, args.wait));
  const held = services.find(({ options }) => options.hold);
  if (args.once && held) refuseHoldOnce(`services.${held.name}.hold`);
  const all = services.map(({ options }) => options);
  return {
    ...hosted(args, config.host),
    services,
    ...sidecarOf(args, { services: all }, config.host),
    where: config.where,
  };
}

function refuseHoldOnce(what: string): never {
  throw new UsageError(`--once and ${what} exclude each other: a standby is a process's`);
}

function hosted(
  args: AttachArguments,
  file?: HostWords,
): Pick<AttachRequest, "host" | "hostWords"> {
  const hostWords = overridden(args, file);
  return { hostWords, host: hostOf(hostWords) };
}

function sidecarOf<T extends ServiceOptions | { readonly services: readonly ServiceOptions[] }>(
  args: AttachArguments,
  what: T,
  file?: HostWords,
): { sidecar: T & Pick<SidecarOptions, "bpffs" | "store"> } {
  const { bpffs, store } = overridden(args, file);
  if (args.once && store !== undefined) {
    throw new UsageError("--once and --store exclude each other: a store is a process's");
  }
  const sidecar = {
    ...what,
    ...(bpffs === undefined ? {} : { bpffs }),
    ...(store === undefined ? {} : { store: { path: store } }),
  };
  return { sidecar };
}

/** `--wait` is what a config does unless it says otherwise. */
function waiting(service: NamedService, wait: boolean | undefined): NamedService {
  if (wait === undefined) return service;
  return {
    ...service,
    words: { ...service.words, wait },
    options: { ...service.options, wait },
  };
}

/** A service's options on the command line, each at most once. */
function wordsOf(args: ServiceWords): ServiceWords {
  const words: Record<string, string | boolean | undefined> = {};
  for (const name of OPTION_NAMES)
    words[name] = once<string | boolean>(name, args[name as OptionName]);
  return words;
}
