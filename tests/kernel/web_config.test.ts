/** `attach --web-config`: a real sidecar, whose certificate and password change at SIGHUP. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { test } from "node:test";
import { TempDir } from "../helpers/host/child.ts";
import { FIRST, getOverTls, SECOND, writeWebConfig } from "../helpers/product/certificates.ts";
import { runCli } from "../helpers/product/cli.ts";
import { SidecarProcess } from "../helpers/product/sidecar.ts";
import { scene } from "../helpers/scene/scene.ts";

test(
  "SIGHUP reads certificate and password again; a bad file changes nothing",
  scene(async (s) => {
    await s.listener();
    using dir = new TempDir();
    const file = writeWebConfig(dir.path, FIRST, ["prom", "one"]);
    await using sidecar = await SidecarProcess.attach(
      ...[s.spec, "--json", "--metrics", "9951", "--web-config", file],
    );
    const url = sidecar.metricsUrl;
    assert.equal(url, "https://127.0.0.1:9951/metrics");
    const status = async (ca: string, auth: string) => (await getOverTls(url, ca, auth)).status;
    assert.equal(await status(FIRST.cert, "prom:one"), 200);
    assert.equal(await status(FIRST.cert, "prom:two"), 401);

    writeWebConfig(dir.path, SECOND, ["prom", "two"]);
    process.kill(sidecar.pid, "SIGHUP");
    await sidecar.logged("reloaded", 1);
    assert.equal(await status(SECOND.cert, "prom:two"), 200);
    assert.equal(await status(SECOND.cert, "prom:one"), 401);
    await assert.rejects(status(FIRST.cert, "prom:two"), /certificate/);

    writeFileSync(dir.file("key.pem"), FIRST.key);
    process.kill(sidecar.pid, "SIGHUP");
    await sidecar.logged("reload_refused", 2);
    assert.match(sidecar.output(), /key_file: is not the key of the certificate in cert_file/);
    assert.equal(await status(SECOND.cert, "prom:two"), 200);
    await sidecar.stop();
  }),
);

test(
  "a bad file ends attach, exec and store at once with one sentence",
  scene(async (s) => {
    using dir = new TempDir();
    const file = dir.file("web.yml");
    writeFileSync(file, "basic_auth_users: {prom: secret}");
    for (const command of [
      ["attach", s.spec, "--wait"],
      ["exec", s.spec, "--metrics", "9951"],
      ["store", "--listen", dir.file("sock"), "--metrics", "9951"],
    ]) {
      const after = command[0] === "exec" ? ["--", "true"] : [];
      const { code, stderr } = await runCli([...command, "--web-config", file, ...after]);
      assert.equal(code, 2, stderr);
      assert.match(stderr, /web\.yml:1: basic_auth_users\.prom: is not a bcrypt hash/);
    }
  }),
);
