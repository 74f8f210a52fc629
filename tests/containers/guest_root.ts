/** The root file system of the guest: Debian 12 with systemd and podman, and images in its storage. */
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { parse } from "yaml";
import { TempDir } from "../helpers/host/child.ts";
import { output, ROOT } from "../install/installed.ts";
import { debianTree } from "../packages/debian_tree.ts";

interface Volume {
  readonly name: string;
}
interface VolumeMount extends Volume {
  readonly mountPath: string;
  readonly readOnly?: boolean;
}

const CACHED = join(ROOT, "dist/debian/containers");
const FILES = join(ROOT, "tests/containers");
const GUEST_PACKAGES = [
  ...["systemd", "systemd-sysv", "dbus", "iproute2", "procps", "curl", "python3"],
  // The guest's root is an overlay, on which the kernel's own cannot be mounted.
  ...["podman", "crun", "fuse-overlayfs", "apparmor"],
];
/** Images come from nowhere else: no registry is asked. */
const BASE = "localhost/debian";

/** Returns the directory, with an image of the sidecar as it is now. @requires `make deb` */
export async function guestRoot(): Promise<string> {
  if (!existsSync(CACHED)) await make();
  const context = "deb=dist/packages";
  await build(CACHED, "reuseport-migrate", "--build-context", context, "--format", "docker", ROOT);
  await buildah(CACHED, "rmi", "--prune", "--force");
  const shared = join(CACHED, "opt/containers");
  for (const name of ["queue.py", "nginx.conf", "haproxy.cfg", "guest.sh"]) {
    cpSync(join(FILES, name), join(shared, name));
  }
  cpSync(join(ROOT, "tests/helpers/load/paced.py"), join(shared, "paced.py"));
  for (const path of ["etc/reuseport-migrate.yaml", "opt/containers/reuseport-migrate.yaml"]) {
    cpSync(join(FILES, "services.yaml"), join(CACHED, path));
  }
  writeFileSync(join(shared, "sidecar.sh"), `${documented()}\n`);
  writeFileSync(join(shared, "pod.sh"), `${pod().join(" ")}\n`);
  return CACHED;
}

/** Returns the names of the programs in the image. */
export async function programsOf(root: string): Promise<string[]> {
  const container = (await buildah(root, "from", "--pull-never", "reuseport-migrate")).trim();
  const mounted = (await buildah(root, "mount", container)).trim();
  const names = ["bin", "usr/bin"].flatMap((name) => readdirSync(join(mounted, name)).sort());
  await buildah(root, "rm", container);
  return names;
}

/** Returns the command that the guide tells readers to run. */
function documented(): string {
  const text = readFileSync(join(ROOT, "docs/guides/containers.md"), "utf8");
  const [command] = /^podman run (?:.*\\\n)*.*$/m.exec(text) ?? [];
  if (command === undefined) throw new Error("docs/guides/containers.md has no `podman run`");
  return command;
}

/** Returns the DaemonSet's pod as a command: podman 4.3 plays no pod with hostPID. */
function pod(): string[] {
  const { spec } = parse(readFileSync(join(ROOT, "deploy/kubernetes/daemonset.yaml"), "utf8"));
  const { hostPID, hostNetwork, containers, volumes } = spec.template.spec;
  const [{ args, securityContext, volumeMounts }] = containers;
  const { capabilities, readOnlyRootFilesystem, allowPrivilegeEscalation } = securityContext;
  const mounts = volumeMounts.map(({ name, mountPath, readOnly }: VolumeMount) => {
    const { hostPath } = volumes.find((volume: Volume) => volume.name === name);
    return `--volume=${hostPath?.path ?? "/opt/containers"}:${mountPath}${readOnly ? ":ro" : ""}`;
  });
  return [
    ...["podman run --detach --name pod --cgroupns=private", ...mounts],
    ...(hostPID ? ["--pid=host"] : []),
    ...(hostNetwork ? ["--network=host"] : []),
    ...(readOnlyRootFilesystem ? ["--read-only"] : []),
    ...(allowPrivilegeEscalation === false ? ["--security-opt=no-new-privileges"] : []),
    ...Object.keys(securityContext).flatMap((name) => {
      const [, kind] = /^(seccomp|appArmor)Profile$/.exec(name) ?? [];
      const { type } = securityContext[name];
      return kind ? [`--security-opt=${kind.toLowerCase()}=${type.toLowerCase()}`] : [];
    }),
    ...[`--cap-drop=${capabilities.drop}`, `--cap-add=${capabilities.add}`, "reuseport-migrate"],
    ...args.map((arg: string) => arg.replace("$(HOST_IP)", "127.0.0.1")),
  ];
}

async function make(): Promise<void> {
  const root = `${CACHED}.new`;
  await output("rm", ["-rf", root]);
  mkdirSync(dirname(root), { recursive: true });
  await debianTree("bookworm", root);
  await base(root);
  await build(root, "server", "--file", join(FILES, "Containerfile.server"), FILES);
  await output("chroot", [root, "sh", "-c", "rm -f /etc/resolv.conf && mkdir -p /opt/containers"]);
  renameSync(root, CACHED);
}

/** Makes the base image of the tree, and then the guest of it. */
async function base(root: string): Promise<void> {
  using dir = new TempDir();
  const tar = dir.file("base.tar");
  await output("tar", ["-C", root, "--numeric-owner", "-cf", tar, "."]);
  const install = "DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install";
  await output("chroot", [root, "sh", "-c", `${install} ${GUEST_PACKAGES.join(" ")}`]);
  const container = (await buildah(root, "from", "scratch")).trim();
  await buildah(root, "add", "--quiet", container, tar, "/");
  await buildah(root, "commit", "--quiet", container, BASE);
  await buildah(root, "rm", container);
}

const build = (root: string, tag: string, ...args: string[]): Promise<string> =>
  buildah(root, "build", "--network=host", `--build-arg=BASE=${BASE}`, "--tag", tag, ...args);

/** Runs buildah on the storage of the guest's podman: nothing has to be loaded in there. */
function buildah(root: string, ...args: string[]): Promise<string> {
  const storage = join(root, "var/lib/containers/storage");
  const [command = "", ...rest] = args;
  // Neither a runtime nor cgroups are needed to build like this.
  const isolation = command === "build" ? ["--isolation=chroot"] : [];
  return output("buildah", [
    ...[`--root=${storage}`, `--runroot=${join(root, "run/buildah")}`],
    ...["--storage-driver=overlay", command, ...isolation, ...rest],
  ]);
}
