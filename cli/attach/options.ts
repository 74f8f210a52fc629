/** attach's options, validated: one service on the command line, or several in a config file. */

import type { Argv } from "yargs";
import { UsageError } from "../../loader/errors.ts";
import type { ServiceOptions } from "../../loader/service/service.ts";
import type {
  HostOptions,
  ServicesOptions,
  SidecarOptions,
} from "../../loader/sidecar/sidecar_options.ts";
import { servedAt } from "../config/served_at.ts";
import {
  type Host,
  type HostValues,
  hostOf,
  hostOptions,
  mergeHostValues,
} from "../options/host.ts";
import {
  type NamedService,
  OPTION_NAMES,
  type ServiceValues,
  serviceOf,
  serviceOptions,
} from "../options/service.ts";
import { once, specs } from "../options/values.ts";

export function attachOptions(yargs: Argv): Argv<AttachArguments> {
  return yargs
    .positional("spec", {
      type: "string",
      array: true,
      describe:
        "listen address: ':443' (every address), '192.0.2.7:443', '[::]:443'; ':*': every listener with SO_REUSEPORT",
    })
    .options(serviceOptions)
    .option("once", { type: "boolean", describe: "attach, pin and exit" })
    .option("config", {
      type: "string",
      requiresArg: true,
      describe:
        "read services from a file instead of SPECs and their options (docs/CONFIG.md); SIGHUP reloads it. --metrics, --web-config, --bpffs, --store, --keep, --json and --wait override it",
    })
    .option("print-config", {
      type: "boolean",
      describe: "print the options as a config file, with all defaults, and exit",
    })
    .options(hostOptions)
    .example("$0 attach :443", "every listener on port 443, until stopped")
    .example(
      "$0 attach 0.0.0.0:80 '[::]:80' --route newest --metrics 9200",
      "blue/green: new connections go to the newest start",
    )
    .example("$0 attach :8080 --hold 10s", "stop and start the server: no client is refused")
    .example("$0 attach ':*' --except :22", "every SO_REUSEPORT listener of this host")
    .example("$0 attach :443 --once", "attach and pin without a sidecar")
    .example("$0 attach --config /etc/reuseport-migrate.yaml", "many services, one sidecar")
    .example(
      "$0 attach :8080 --adopt --unit app",
      "a service that does not set SO_REUSEPORT (Node, Python, Ruby, Go); then restart it once",
    );
}

export interface AttachArguments extends ServiceValues, HostValues {
  readonly spec: string[] | undefined;
  readonly once: boolean | undefined;
  readonly config: string | undefined;
  readonly "print-config": boolean | undefined;
}

/** The validated options. */
export interface AttachRequest {
  readonly host: Host;
  /** The values of {@link AttachRequest.host} before validation. */
  readonly hostValues: HostValues;
  /** Named, as in a config file. */
  readonly services: readonly NamedService[];
  readonly sidecar: SidecarOptions | ServicesOptions;
  /** Returns the place of a key: `FILE:LINE: KEY`, or the option. */
  where(key: string): string;
}

/** @throws UsageError, ConfigError */
export async function attachRequest(args: AttachArguments): Promise<AttachRequest> {
  const file = once("--config", args.config);
  const request = file === undefined ? fromCommandLine(args) : await fromFile(file, args);
  const { metrics, webConfig } = request.host;
  return { ...request, host: { ...request.host, metrics: await servedAt(metrics, webConfig) } };
}

function fromCommandLine(args: AttachArguments): AttachRequest {
  const all = specs(args.spec);
  if (all.length === 0) throw new UsageError("a SPEC is missing, or --config FILE");
  if (args.once && args.wait) throw new UsageError("--once and --wait exclude each other");
  const values = valuesOf(args);
  const service = serviceOf(values, all, {
    mayAppear: args.wait === true,
    nameOf: (option) => `--${option}`,
    check: (option, read) => read(`--${option}`),
  });
  if (args.once && service.hold) refuseOnce("--hold", "a standby");
  // One service for each SPEC, named as in status and metrics.
  const services = service.specs.map((spec) => {
    const options = { ...service, specs: [spec], name: spec.text };
    return { name: spec.text, listen: [spec.text], values, options };
  });
  return { ...hostFields(args), services, ...sidecarOf(args, service), where: (key) => `--${key}` };
}

async function fromFile(file: string, args: AttachArguments): Promise<AttachRequest> {
  if (args.spec?.length) throw new UsageError("--config and SPECs exclude each other");
  const other = OPTION_NAMES.find((name) => name !== "wait" && args[name] !== undefined);
  if (other) {
    throw new UsageError(
      `--config and --${other} exclude each other: set the option for each service in the file`,
    );
  }
  const { readConfig } = await import("../config/schema.ts");
  const config = readConfig(file);
  const services = config.services.map((service) => withWait(service, args.wait));
  const holding = services.find(({ options }) => options.hold);
  if (args.once && holding) refuseOnce(`services.${holding.name}.hold`, "a standby");
  const all = services.map(({ options }) => options);
  return {
    ...hostFields(args, config.host),
    services,
    ...sidecarOf(args, { services: all }, config.host),
    where: config.where,
  };
}

function refuseOnce(option: string, part: string): never {
  throw new UsageError(`--once and ${option} exclude each other: ${part} needs a running process`);
}

function hostFields(
  args: AttachArguments,
  file?: HostValues,
): Pick<AttachRequest, "host" | "hostValues"> {
  const hostValues = mergeHostValues(args, file);
  return { hostValues, host: hostOf(hostValues) };
}

function sidecarOf<T extends ServiceOptions | { readonly services: readonly ServiceOptions[] }>(
  args: AttachArguments,
  services: T,
  file?: HostValues,
): { sidecar: T & Omit<HostOptions, "idleMs"> } {
  const values = mergeHostValues(args, file);
  const { bpffs, store } = values;
  const { maxGroups, maxGroupsPerUser } = hostOf(values);
  if (args.once && store !== undefined) refuseOnce("--store", "a store");
  const sidecar = {
    ...services,
    ...(bpffs === undefined ? {} : { bpffs }),
    ...(store === undefined ? {} : { store: { path: store } }),
    ...(maxGroups === undefined ? {} : { maxGroups }),
    ...(maxGroupsPerUser === undefined ? {} : { maxGroupsPerUser }),
  };
  return { sidecar };
}

/** Returns the service with --wait, if that is given: it overrides a file. */
function withWait(service: NamedService, wait: boolean | undefined): NamedService {
  if (wait === undefined) return service;
  return {
    ...service,
    values: { ...service.values, wait },
    options: { ...service.options, wait },
  };
}

/** Returns a service's options, each given at most once. */
function valuesOf(args: ServiceValues): ServiceValues {
  const values: Record<string, string | boolean | undefined> = {};
  for (const name of OPTION_NAMES) values[name] = once<string | boolean>(`--${name}`, args[name]);
  return values;
}
