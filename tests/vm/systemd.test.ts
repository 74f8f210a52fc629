/**
 * A Debian 12 with systemd as pid 1, nginx and haproxy, in a VM that is booted twice: from nothing
 * to restarts without a loss by the lines of README and the guide, and everything else that a unit
 * promises. The steps are in guest.sh; `make test-systemd`.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { lost } from "../helpers/load/client.ts";
import { NEXT } from "../packages/built.ts";
import { type Loaded, Machine, type Ran, type Results } from "./machine.ts";

/** Upper bounds of `systemd-analyze security`; lower is better. */
const EXPOSURE = {
  "reuseport-migrate.service": 3.0,
  "reuseport-migrate@443.service": 3.0,
  "reuseport-migrate-store.service": 1.6,
};
const SIDE = "reuseport-migrate.service";

let first: Results;
let second: Results;

const none = (load: Loaded) => assert.equal(lost(load), 0, JSON.stringify(load));
const some = (load: Loaded) =>
  assert.ok(lost(load) > 0, `nothing to lose: ${JSON.stringify(load)}`);
const succeeded = ({ code, text }: Ran) => assert.equal(code, 0, text);

/** Every line of a document ended with 0. */
function allSucceeded({ text }: Ran): void {
  const codes = [...text.matchAll(/^exit (\d+)$/gm)].map(([, code]) => code);
  assert.ok(codes.length > 3, text);
  assert.deepEqual([...new Set(codes)], ["0"], text);
}

describe("a fresh Debian 12 with systemd", () => {
  const machine = new Machine();
  before(async () => {
    await machine.prepare();
    first = await machine.boot("first_boot");
    second = await machine.boot("second_boot");
  });
  after(() => machine[Symbol.dispose]());

  test("the guest did every step", () => {
    for (const results of [first, second]) {
      assert.ok(results.has("end"), results.output.slice(-4000));
      assert.ok(!results.has("gave_up"), results.output);
    }
  });

  test("negative control: without the sidecar each of these loses connections", () => {
    some(first.load("control_reload_nginx"));
    some(first.load("control_restart_nginx"));
    some(first.load("control_restart_haproxy"));
  });

  test("the lines of README: from nothing to a restart of nginx without a loss", () => {
    allSucceeded(first.ran("readme"));
    assert.equal(first.ran("enabled").text, "enabled");
    assert.equal(first.text("status"), "2 groups, 2 listeners");
    none(first.load("restart_nginx"));
  });

  test("a unit that finds nothing to guard says why, in its status and in the journal", () => {
    const why =
      /:80 is not attached: tcp \S+:80 of nginx \(pid \d+\): it does not set SO_REUSEPORT \(--adopt --unit nginx sets it at the next start\)/;
    assert.match(first.text("status_nothing"), /^nothing to guard; /);
    for (const name of ["status_nothing", "journal_nothing"]) {
      assert.match(first.text(name), why);
      assert.match(first.text(name), /:9: nothing listens there/);
    }
  });

  test("the lines of the guide: an instance, a restart and a reload without a loss", () => {
    allSucceeded(first.ran("guide"));
    none(first.load("guide_restart_nginx"));
    none(first.load("reload_nginx"));
  });

  test("the drop-in has each reload say what it did, and a reload does not depend on it", () => {
    assert.match(
      first.text("verdicts"),
      /^ok: (?:0 lost of \d+ connections that migrated|no connection had to migrate)$/m,
    );
    assert.match(first.ran("dropin_again").text, /nginx\.service\.d\S+ is there already$/);
    assert.match(
      first.ran("dropin_haproxy").text,
      /^ExecReload=\/usr\/sbin\/haproxy -Ws .*\nExecReload=\/bin\/sh -c .* -- \/bin\/kill -USR2 \$MAINPID$/m,
    );
    assert.match(first.ran("dropin_unknown").text, /unit nothing\.service is not-found; see/);
    assert.match(first.ran("dropin_none").text, /systemd-journald\.service: it has no ExecReload=/);
    succeeded(first.ran("reload_unattached"));
    succeeded(first.ran("reload_removed"));
  });

  test("several instances run at once, each with its own SPEC", () => {
    for (const spec of ["8082", "127.0.0.1:8081", "\\x5b::1\\x5d:8083"]) {
      succeeded(first.ran(`instance_reuseport-migrate@${spec}.service`));
    }
    const { groups } = JSON.parse(first.ran("instance_groups").text) as {
      groups: { port: number; sidecar_pid: number }[];
    };
    assert.deepEqual(groups.map(({ port }) => port).sort(), [8081, 8082, 8083]);
    assert.equal(new Set(groups.map((group) => group.sidecar_pid)).size, 3);
    assert.match(first.ran("instance_metrics").text, /port="8082"/);
  });

  test("a restart of haproxy loses nothing", () => none(first.load("restart_haproxy")));

  test("a bad file: the status says so, the unit stays active; a good one ends that", () => {
    succeeded(first.ran("reload_bad"));
    assert.match(first.text("status_refused"), /^reload refused: .*reuseport-migrate\.yaml:1: /);
    assert.equal(first.ran("active").text, "active");
    assert.match(first.text("status_reloaded"), /^3 groups, \d+ listeners$/);
  });

  for (const how of ["killed", "restarted", "upgraded", "hung"]) {
    test(`nothing that is held is lost when the sidecar is ${how}`, () => {
      none(first.load(`held_${how}`));
    });
  }

  test("the package was upgraded, and the watchdog ended the sidecar that hung", () => {
    assert.equal(first.text("version"), NEXT);
    assert.match(first.text("watchdog"), /Watchdog timeout/);
  });

  test("systemd keeps the descriptors of the store over a kill and a restart", () => {
    assert.equal(first.text("store_kept"), "1");
    for (const name of ["store_killed", "store_restarted"]) {
      succeeded(first.ran(name));
      assert.match(first.ran(name).text, /web/);
    }
  });

  for (const [unit, bound] of Object.entries(EXPOSURE)) {
    test(`${unit}: systemd-analyze verify is silent, the exposure at most ${bound}`, () => {
      assert.deepEqual(first.ran(`verify_${unit}`), { code: 0, text: "" });
      const [, level] = /: ([\d.]+) /.exec(first.text(`security_${unit}`)) ?? [];
      assert.ok(Number(level) <= bound, first.text(`security_${unit}`));
    });
  }

  test(`after a reboot ${SIDE} guards again`, () => {
    assert.match(second.text("boot_status"), /^3 groups, \d+ listeners$/);
    none(second.load("boot_restart_nginx"));
    none(second.load("boot_restart_haproxy"));
  });
});
