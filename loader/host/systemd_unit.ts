/** The cgroup of a systemd service, running or not. */
import { execFileSync } from "node:child_process";
import { type Dirent, existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { AbsentError, isExhausted } from "../errors.ts";
import { requireCgroup2 } from "./cgroup.ts";

/** Unit types other than services (systemd.unit(5)). */
const NO_SERVICE = /\.(socket|device|mount|automount|swap|target|path|timer|slice|scope)$/;
/** The slice of a system service without `Slice=` (systemd.resource-control(5)). */
const DEFAULT_SLICE = "/system.slice";

/** Returns the properties of a unit, or null if systemd does not run or answer. */
type ShowUnit = (unit: string) => ReadonlyMap<string, string> | null;

/** Runs `systemctl show` (systemctl(1)). */
const systemctlShow: ShowUnit = (unit) => {
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
  } catch (error) {
    if (isExhausted(error)) throw error;
    return null;
  }
};

/**
 * Returns the cgroup of service `name` (`app` or `app.service`), as /proc/PID/cgroup writes it.
 * Searches the tree of cgroups if systemd does not answer.
 * @throws AbsentError if the service does not exist, NotSupportedError without cgroup v2
 */
export function unitCgroup(name: string, show: ShowUnit = systemctlShow): string {
  const fail = (why: string): never => {
    throw new AbsentError(`unit ${name}: ${why}`);
  };
  if (!/^[\w:.\\@-]+$/.test(name) || name.startsWith("-")) fail("not a valid unit name");
  if (NO_SERVICE.test(name)) fail("not a service; give its cgroup with --cgroup");
  const unit = name.endsWith(".service") ? name : `${name}.service`;
  if (unit.endsWith("@.service")) fail("a template has no cgroup; name an instance of it");
  const mount = requireCgroup2();

  const properties = show(unit);
  if (properties?.get("LoadState") === "not-found") {
    fail(`systemd knows no ${unit}; see 'systemctl list-units --type=service --all'`);
  }
  const cgroup = properties?.get("ControlGroup");
  if (cgroup) return cgroup;
  const slice = properties?.get("Slice");
  if (slice) return `${slicePath(slice)}/${unit}`;

  const found = [...cgroupsBelow(mount)].filter((path) => path.endsWith(`/${unit}`));
  const [first] = found;
  if (found.length > 1)
    fail(`several cgroups have that name (${found.join(", ")}); give one with --cgroup`);
  if (first) return first;
  if (existsSync(join(mount, DEFAULT_SLICE))) return `${DEFAULT_SLICE}/${unit}`;
  return fail(
    `systemd does not answer, and no cgroup ${unit} exists below ${mount}; give it with --cgroup`,
  );
}

/** Returns a slice's cgroup: `a-b.slice` is in `a.slice`, `-.slice` the root (systemd.slice(5)). */
function slicePath(slice: string): string {
  if (slice === "-.slice") return "";
  const names = slice.replace(/\.slice$/, "").split("-");
  return names.map((_, i) => `/${names.slice(0, i + 1).join("-")}.slice`).join("");
}

/** Yields every cgroup below `mount`, as a path relative to it. */
function* cgroupsBelow(mount: string, path = ""): Generator<string> {
  let entries: Dirent[] = [];
  try {
    entries = readdirSync(join(mount, path), { withFileTypes: true });
  } catch (error) {
    if (isExhausted(error)) throw error;
    // The cgroup was removed meanwhile.
  }
  for (const entry of entries) {
    if (!entry.isDirectory()) continue;
    yield `${path}/${entry.name}`;
    yield* cgroupsBelow(mount, `${path}/${entry.name}`);
  }
}
