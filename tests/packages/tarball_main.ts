/**
 * `tarball_main.js ROOT NAME`, in the sandbox: the unpacked /tmp/NAME in a Debian without Node:
 * install.sh, attach, install again over it, uninstall.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ListenerProcess } from "../helpers/servers/listener.ts";
import { UnitFile } from "../install/unit_file.ts";
import { Chroot } from "./chroot.ts";

const PORT = 18080;
const PREFIX = "/opt/migrate";
const COMMAND = `${PREFIX}/bin/reuseport-migrate`;

const [root, name] = process.argv.slice(2) as [string, string];
const host = new Chroot(root);
await host.mount();
await host.apt("install", "libbpf1");
const before = await host.files();
const install = (...args: string[]) =>
  host.run(`/tmp/${name}/install.sh`, "--prefix", PREFIX, ...args);

assert.match(await install(), /\d+\.\d+\.\d+/);
const unit = new UnitFile(join(root, PREFIX, "lib/systemd/system/reuseport-migrate.service"));
assert.match(unit.get("ExecStart"), /^\/opt\/migrate\/bin\/reuseport-migrate attach /);

const server = await ListenerProcess.start();
await server.open({ address: "127.0.0.1", port: PORT });
const spec = `127.0.0.1:${PORT}`;
const attached = await host.run(COMMAND, "attach", spec, "--netns", String(process.pid), "--once");
assert.match(attached, /^ATTACHED groups=1 listeners=1$/m);

// A second installation keeps what the administrator wrote, and leaves no file of the first.
const defaults = join(root, "etc/default/reuseport-migrate");
writeFileSync(defaults, 'SPECS=":8080"\n');
writeFileSync(join(root, PREFIX, "lib/reuseport-migrate/of-the-first"), "");
await install();
assert.equal(readFileSync(defaults, "utf8"), 'SPECS=":8080"\n');
assert.equal(host.has(`${PREFIX}/lib/reuseport-migrate/of-the-first`), false);

await install("--uninstall");
assert.equal(existsSync("/sys/fs/bpf/reuseport-migrate"), false, "still attached");
const isFile = (line: string) => / f /.test(line);
const left = (await host.files()).filter((line) => isFile(line) && !before.includes(line));
assert.deepEqual(
  left.map((line) => line.split(" ")[0]),
  ["./etc/default/reuseport-migrate", "./etc/reuseport-migrate.yaml"],
);
await server.kill();
