/** The page in a real browser: a reload, a restart under a hold, and a hold that expires. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Page } from "playwright-core";
import { BigHost } from "../helpers/host/big_host.ts";
import { Child, TempDir } from "../helpers/host/child.ts";
import { PYTHON } from "../helpers/host/script.ts";
import { visit } from "../helpers/load/client.ts";
import {
  accessibilityProblems,
  layoutShifts,
  picture,
  TestBrowser,
  VIEWS,
  type Visit,
} from "../helpers/product/browser.ts";
import { SidecarProcess } from "../helpers/product/sidecar.ts";
import { Haproxy } from "../helpers/servers/haproxy.ts";
import { ListenerProcess } from "../helpers/servers/listener.ts";
import { Nginx } from "../helpers/servers/nginx.ts";
import { until } from "../helpers/until.ts";

const METRICS = ["--metrics", "127.0.0.1:9944"];
const URL = "http://127.0.0.1:9944/";
/** Less than what is seen as a jump: a tenth of what counts as good. */
const NO_SHIFT = 0.01;

const textOf = (page: Page, selector: string) => page.locator(selector).allTextContents();
const numberIn = (text: string | undefined, unit: RegExp) =>
  Number(new RegExp(`(\\d+) ${unit.source}`).exec(text ?? "")?.[1] ?? 0);
const moved = async (page: Page) => numberIn((await textOf(page, "#totals"))[0], /moved/);

async function isSound({ page, problems }: Visit): Promise<void> {
  assert.deepEqual(problems, []);
  const shifts = await layoutShifts(page);
  const sum = shifts.reduce((total, { value }) => total + value, 0);
  assert.ok(sum < NO_SHIFT, `layout shifts: ${JSON.stringify(shifts)}`);
  assert.deepEqual(await accessibilityProblems(page), []);
}

/** Opens a page in every view; returns that of the desktop first. */
async function inAllViews(browser: TestBrowser): Promise<[Visit, ...Visit[]]> {
  const [first, ...others] = Object.values(VIEWS);
  const visits: [Visit, ...Visit[]] = [await browser.visit(URL, first)];
  for (const view of others) visits.push(await browser.visit(URL, view));
  for (const { page } of visits) await page.locator("article").first().waitFor();
  return visits;
}

async function pictures(visits: readonly Visit[], what: string): Promise<void> {
  const names = Object.keys(VIEWS);
  for (const [i, { page }] of visits.entries()) await picture(page, `${what}-${names[i]}`);
}

/** Requests of clients that wait: as many connections, each answered once somebody accepts. */
function clients(port: number, count: number): Promise<string[]> {
  return Promise.all(Array.from({ length: count }, () => visit({ port, path: "/x" })));
}

/** A server whose name is markup. */
const HOSTILE = `
import ctypes, socket, sys, time
ctypes.CDLL(None).prctl(15, b"<img src=x>", 0, 0, 0)
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
s.bind(("127.0.0.1", int(sys.argv[1])))
s.listen()
print("READY", flush=True)
time.sleep(3600)
`;

describe("the page", () => {
  test("a HAProxy reload: both generations, and the connections that move", async () => {
    await using haproxy = await Haproxy.start({ port: 8080, threads: 2 });
    await using _sidecar = await SidecarProcess.attach(":8080", ...METRICS);
    await using browser = await TestBrowser.start();
    const visits = await inAllViews(browser);
    const [{ page }] = visits;
    assert.equal((await textOf(page, "#state"))[0], "live");
    assert.match((await textOf(page, "article h2"))[0] ?? "", /127\.0\.0\.1:8080/);
    assert.equal(await moved(page), 0);
    let seen = "";
    for (let n = 0; n < 20 && seen === ""; n++) {
      const load = Promise.all(Array.from({ length: 20 }, () => clients(8080, 20)));
      const flows = page
        .locator("svg .moving")
        .first()
        .waitFor({ state: "attached", timeout: 4_000 });
      await haproxy.reload({ behind: true });
      await load;
      await flows.then(
        async () => {
          seen = (await textOf(page, "svg .moving"))[0] ?? "";
          await pictures(visits, "reload");
        },
        () => {},
      );
    }
    assert.match(seen, /^\d+ moving$/);
    assert.ok((await moved(page)) > 0);
    assert.ok((await page.locator("svg .box.closed").count()) > 0, "a listener that closed");
    await until("the event is listed", async () =>
      (await textOf(page, "#events li")).some((text) => /\d+ .*moved from pid/.test(text)),
    );
    for (const each of visits) await isSound(each);
  });

  test("an nginx restart under --hold: the pool fills, counts down, and pours into the server", async () => {
    await using _sidecar = await SidecarProcess.attach(
      ":8081",
      "--wait",
      "--hold",
      "60s",
      ...METRICS,
    );
    await using browser = await TestBrowser.start();
    {
      await using _nginx = await Nginx.start({ port: 8081, workers: 2 });
      await until("it is attached", async () =>
        /127/.test(await (await fetch(`${URL}status.json`)).text()),
      );
    }
    const answers = clients(8081, 30);
    const visits = await inAllViews(browser);
    const [{ page }] = visits;
    await page.locator('article[data-state="holding"]').waitFor();
    await until("30 are in the pool", async () => (await textOf(page, ".pool .count"))[0] === "30");
    const left = async () => Number.parseFloat((await textOf(page, ".pool .left"))[0] ?? "");
    const before = await left();
    await until("it counts down", async () => (await left()) < before);
    await pictures(visits, "hold");
    await using _nginx = await Nginx.start({ port: 8081, workers: 2 });
    assert.deepEqual(new Set(await answers), new Set(["ok"]));
    // With a connection that looks whether the server is there.
    await until("they are handed over", async () =>
      / 3\d held and handed over, 0 lost$/.test((await textOf(page, "#totals"))[0] ?? ""),
    );
    for (const each of visits) await isSound(each);
  });

  test("a hold that expires: the losses, in red, with their reason", async () => {
    await using _sidecar = await SidecarProcess.attach(
      ":8082",
      "--wait",
      "--hold",
      "1s",
      ...METRICS,
    );
    await using browser = await TestBrowser.start();
    {
      await using _nginx = await Nginx.start({ port: 8082, workers: 1 });
      await until("it is attached", async () =>
        /127/.test(await (await fetch(`${URL}status.json`)).text()),
      );
    }
    const answers = clients(8082, 5);
    const visits = await inAllViews(browser);
    const [{ page }] = visits;
    assert.ok(!(await answers).includes("ok"));
    await page.locator('article[data-state="lossy"]').waitFor();
    assert.match(
      (await textOf(page, "article .losses"))[0] ?? "",
      /^5 lost: held, reset: no server came$/,
    );
    await until("it is said as a warning", async () =>
      (await textOf(page, "#events li.warn")).some((text) =>
        /no server came back within 1s/.test(text),
      ),
    );
    const colour = (selector: string) =>
      page.evaluate(`getComputedStyle(document.querySelector("${selector}")).color`);
    const [red = 0, green = 0, blue = 0] =
      String(await colour("article .losses"))
        .match(/\d+/g)
        ?.map(Number) ?? [];
    assert.ok(red > 2 * green && red > 2 * blue, "not red");
    await pictures(visits, "expired");
    for (const each of visits) await isSound(each);
  });

  test("without JavaScript: a table", async () => {
    await using _haproxy = await Haproxy.start({ port: 8083, threads: 2 });
    await using _sidecar = await SidecarProcess.attach(":8083", ...METRICS);
    await using browser = await TestBrowser.start();
    const { page, problems } = await browser.visit(URL, { javaScriptEnabled: false });
    const rows = await textOf(page, "tbody tr");
    assert.equal(rows.length, 1);
    assert.match(
      rows[0] ?? "",
      /127\.0\.0\.1:8083.*haproxy \d+ \(target, generation 1, 0 waiting\)/s,
    );
    assert.equal(await page.locator("article").count(), 0);
    assert.deepEqual(problems, []);
  });

  test("hostile names do not become markup", async () => {
    using dir = new TempDir();
    await using server = new Child(PYTHON, ["-c", HOSTILE, "8084"], dir.file("log"));
    await server.until("READY", () => server.output().includes("READY"));
    await using _sidecar = await SidecarProcess.attach(":8084", ...METRICS);
    await using browser = await TestBrowser.start();
    const live = await browser.visit(URL);
    await live.page.locator("svg .who").first().waitFor();
    assert.match((await textOf(live.page, "svg .who"))[0] ?? "", /^<img src=x> \d+$/);
    const plain = await browser.visit(URL, { javaScriptEnabled: false });
    assert.match((await textOf(plain.page, "tbody tr"))[0] ?? "", /<img src=x> \d+/);
    for (const { page, problems } of [live, plain]) {
      assert.equal(await page.locator("main img").count(), 0);
      assert.deepEqual(problems, []);
    }
  });

  test("of hundreds of groups only those that changed are touched; search finds one", async () => {
    using host = new BigHost();
    const count = 300;
    await host.groups(8085, 0, count, 2);
    await using _sidecar = await SidecarProcess.attach(":8085", ...METRICS);
    await using browser = await TestBrowser.start();
    const { page, problems } = await browser.visit(URL);
    await until("all are shown", async () => (await page.locator("article").count()) === count);
    await page.evaluate(`window.touched = new Set();
      new MutationObserver((records) => {
        for (const { target } of records) {
          const card = target.parentElement?.closest("article");
          if (card) touched.add(card.querySelector("h2").textContent);
        }
      }).observe(document.getElementById("groups"), { subtree: true, childList: true, attributes: true, characterData: true });`);
    const first = (await textOf(page, "article h2"))[0] ?? "";
    const address = first.replace(/:\d+$/, "");
    const server = await ListenerProcess.start();
    await server.open({ address, port: 8085 });
    const touched = () => page.evaluate("[...touched]") as Promise<string[]>;
    await until("its card changes", async () => (await touched()).length > 0);
    assert.deepEqual(await touched(), [first]);
    await server.kill();
    await page.keyboard.press("/");
    await page.keyboard.type(first);
    await until("one is left", async () => (await page.locator("article").count()) === 1);
    assert.match((await textOf(page, "#shown"))[0] ?? "", /^1 of 300 groups$/);
    assert.deepEqual(problems, []);
  });
});

test("the page goes on when the sidecar is replaced", async () => {
  await using _haproxy = await Haproxy.start({ port: 8086, threads: 2 });
  await using sidecar = await SidecarProcess.attach(":8086", "--keep", ...METRICS);
  await using browser = await TestBrowser.start();
  const { page } = await browser.visit(URL);
  await page.locator("article").waitFor();
  await sidecar.kill();
  await until("it says so", async () =>
    /does not answer/.test((await textOf(page, "#state"))[0] ?? ""),
  );
  await sidecar.start();
  await until("it is live again", async () => (await textOf(page, "#state"))[0] === "live");
  await until("it has the new sidecar's events", async () =>
    (await textOf(page, "#events li")).some((text) => /took over/.test(text)),
  );
  const ids = (await textOf(page, "#events li")).filter((text) => /attached 127/.test(text));
  assert.equal(ids.length, 1, "an event is listed once");
});

test("curl: a stream resumes, and is one of at most 16", async () => {
  await using _haproxy = await Haproxy.start({ port: 8087, threads: 2 });
  await using _sidecar = await SidecarProcess.attach(":8087", ...METRICS);
  using dir = new TempDir();
  const follow = (...args: string[]) =>
    new Child("curl", ["-sN", ...args, `${URL}events`], dir.file(`${Math.random()}`));
  await using all = follow();
  await until("events come", () => /id: \d+-2\n/.test(all.output()));
  await using rest = follow("-H", `Last-Event-ID: ${/id: (\d+-1)\n/.exec(all.output())?.[1]}`);
  await until("the rest comes", () => /id: \d+-2\n/.test(rest.output()));
  assert.doesNotMatch(rest.output(), /id: \d+-1\n/);
  const others = Array.from({ length: 14 }, () => follow());
  try {
    for (const each of others) await until("it is served", () => /retry/.test(each.output()));
    const { status } = await fetch(`${URL}events`);
    assert.equal(status, 503);
  } finally {
    for (const each of others) await each[Symbol.asyncDispose]();
  }
  await until("there is room again", async () => {
    const abort = new AbortController();
    const { status } = await fetch(`${URL}events`, { signal: abort.signal });
    abort.abort();
    return status === 200;
  });
});
