/** What a service manager is told: pings of its watchdog, and when it does not listen. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ServiceManager } from "../../cli/exec/service_manager.ts";
import { withoutServiceVars } from "../../cli/process/child.ts";
import { serviceNotifier, watchdog, watchdogMs } from "../../loader/host/sd_notify.ts";
import { TempDir } from "../helpers/host/child.ts";
import { NotifySocket } from "../helpers/host/notify_socket.ts";
import { until } from "../helpers/until.ts";

/** Returns the pings of `polls` polls in a row. */
function pings(vars: Record<string, string>, polls: number): string[] {
  const sent: string[] = [];
  const observed = watchdog(vars, (state) => sent.push(state));
  for (let n = 0; n < polls; n++) observed();
  return sent;
}

test("a poll pings it, and not more often than it requires", () => {
  assert.deepEqual(pings({ WATCHDOG_USEC: "30000000" }, 100), ["WATCHDOG=1"]);
  assert.deepEqual(pings({ WATCHDOG_USEC: "30000000", WATCHDOG_PID: String(process.pid) }, 1), [
    "WATCHDOG=1",
  ]);
  assert.ok(pings({ WATCHDOG_USEC: "1" }, 100).length > 1);
});

test("without one, or with that of another process, nothing is sent", () => {
  assert.deepEqual(pings({}, 3), []);
  assert.deepEqual(pings({ WATCHDOG_USEC: "30000000", WATCHDOG_PID: "1" }, 3), []);
});

test("the time between two pings is less than half of the period", () => {
  assert.equal(watchdogMs({ WATCHDOG_USEC: "3000000" }), 1_000);
  assert.equal(watchdogMs({ WATCHDOG_USEC: "3000000", WATCHDOG_PID: "1" }), null);
  assert.equal(watchdogMs({ WATCHDOG_USEC: "x" }), null);
  assert.equal(watchdogMs({ WATCHDOG_USEC: "0" }), null);
  assert.equal(watchdogMs({}), null);
});

test("a child gets none of the service manager's variables", () => {
  const vars = { NOTIFY_SOCKET: "/n", WATCHDOG_USEC: "1", WATCHDOG_PID: "1", A: "b" };
  const listen = { LISTEN_PID: "1", LISTEN_FDS: "1", LISTEN_FDNAMES: "web" };
  assert.deepEqual(withoutServiceVars({ ...vars, ...listen }), { A: "b" });
});

test("exec pings while its server listens, and goes by the last answer if there is none", async () => {
  const sent: string[] = [];
  let answer: boolean | Error = new Error("unknown");
  let asked = 0;
  using _manager = new ServiceManager(
    (state) => sent.push(state),
    1,
    async () => {
      asked++;
      if (answer instanceof Error) throw answer;
      return answer;
    },
  );
  const askedAgain = () => {
    const then = asked + 2;
    return until("it is asked again", () => asked >= then);
  };
  await askedAgain();
  assert.deepEqual(sent, []);
  answer = true;
  await until("it pings", () => sent.length > 1);
  answer = new Error("unknown");
  const before = sent.length;
  await until("it still pings", () => sent.length > before + 1);
  answer = false;
  await askedAgain();
  const then = sent.length;
  await askedAgain();
  assert.equal(sent.length, then);
  assert.deepEqual([...new Set(sent)], ["WATCHDOG=1"]);
});

test("a service manager that does not read, or is gone, blocks nothing and is said once", () => {
  using dir = new TempDir();
  const warnings: string[] = [];
  const notify = serviceNotifier(dir.file("notify"), (text) => warnings.push(text));
  for (let i = 0; i < 3; i++) notify("READY=1");
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? "", /^the service manager was not notified: .*ENOENT/);
  using manager = new NotifySocket(dir.file("notify"));
  for (let i = 0; i < 2_000; i++) notify("WATCHDOG=1"); // more than its queue holds
  assert.equal(warnings.length, 2);
  assert.ok(manager.received().length > 0);
  notify("READY=1");
  assert.equal(manager.received().at(-1), "READY=1");
});
