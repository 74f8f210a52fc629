/** The cgroup of a systemd service, also while it does not run. */
import { execFileSync } from "node:child_process";
import { type Dirent, existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { NotSupportedError, UsageError } from "../errors.ts";
import { findCgroup2 } from "./cgroup.ts";

/** Unit types that are no service (systemd.unit(5)). */
const OTHER = /\.(socket|device|mount|automount|swap|target|path|timer|slice|scope)$/;
/** Where systemd puts a service that names no slice. */
const SLICE = "/system.slice";

/** Properties of a unit as systemd knows it; null: systemd cannot be asked. */
export type Show = (unit: string) => ReadonlyMap<string, string> | null;

/** systemctl(1), which talks to the systemd of this host. */
const systemctl: Show = (unit) => {
  try {
    const properties = "--property=LoadState,ControlGroup,Slice";
    const text = execFileSync("systemctl", ["show", properties, "--", unit], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
      timeout: 10_000,
    });
    return new Map(
      text.split("\n").map((line) => {
        const [name = "", ...value] = line.split("=");
        return [name, value.join("=")];
      }),
    );
  } catch {
    return null;
  }
};

/**
 * The cgroup of service `name` (`app` or `app.service`), as /proc/PID/cgroup writes it. Without
 * a systemd to ask it is looked for in the cgroup tree.
 * @throws UsageError when there is no such service, NotSupportedError without cgroup v2.
 */
export function unitCgroup(name: string, show: Show = systemctl): string {
  const fail = (why: string): never => {
    throw new UsageError(`unit ${name}: ${why}`);
  };
  if (!/^[\w:.\\@-]+$/.test(name) || name.startsWith("-")) fail("that is not a name of a unit");
  if (OTHER.test(name)) fail("it is no service; name its cgroup with --cgroup");
  const unit = name.endsWith(".service") ? name : `${name}.service`;
  if (unit.endsWith("@.service")) fail("it is a template; name an instance of it");
  const mount = findCgroup2();
  if (mount === null) throw new NotSupportedError("cgroup v2", "no cgroup v2 is mounted");

  const known = show(unit);
  if (known?.get("LoadState") === "not-found") {
    fail(`systemd knows no ${unit}: see 'systemctl list-units --type=service --all'`);
  }
  if (known?.get("ControlGroup")) return known.get("ControlGroup") ?? "";
  if (known?.get("Slice")) return `${slicePath(known.get("Slice") ?? "")}/${unit}`;

  const found = [...below(mount)].filter((path) => path.endsWith(`/${unit}`));
  const [first] = found;
  if (found.length > 1)
    fail(`several cgroups have that name (${found.join(", ")}): name one with --cgroup`);
  if (first) return first;
  if (existsSync(join(mount, SLICE))) return `${SLICE}/${unit}`;
  return fail(
    `there is no systemd to ask, and no cgroup ${unit} below ${mount}: name it with --cgroup`,
  );
}

/** `a-b.slice` is inside of `a.slice` (systemd.slice(5)); `-.slice` is the root. */
function slicePath(slice: string): string {
  if (slice === "-.slice") return "";
  const names = slice.replace(/\.slice$/, "").split("-");
  return names.map((_, i) => `/${names.slice(0, i + 1).join("-")}.slice`).join("");
}

/** Every cgroup below `mount`, as a path from there. */
function* below(mount: string, path = ""): Generator<string> {
  let entries: Dirent[] = [];
  try {
    entries = readdirSync(join(mount, path), { withFileTypes: true });
  } catch {
    // It went away meanwhile.
  }
  for (const entry of entries) {
    if (!entry.isDirectory()) continue;
    yield `${path}/${entry.name}`;
    yield* below(mount, `${path}/${entry.name}`);
  }
}
