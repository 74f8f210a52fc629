/** A sidecar's page in a real browser: Debian's chromium, in the sandbox's network namespace. */
import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";

const PICTURES = fileURLToPath(new URL("../../../../docs/page/", import.meta.url));
const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

/** The views of which pictures are made. */
export const VIEWS = {
  desktop: { viewport: { width: 1280, height: 900 }, colorScheme: "light" },
  "desktop-dark": { viewport: { width: 1280, height: 900 }, colorScheme: "dark" },
  phone: { viewport: { width: 390, height: 844 }, colorScheme: "light" },
  "phone-dark": { viewport: { width: 390, height: 844 }, colorScheme: "dark" },
} as const satisfies Record<string, BrowserContextOptions>;

/** A page, and what went wrong on it. */
export interface Visit {
  readonly page: Page;
  /** Errors on its console, uncaught ones, and requests that failed. */
  readonly problems: readonly string[];
}

export class TestBrowser implements AsyncDisposable {
  readonly #browser: Browser;

  private constructor(browser: Browser) {
    this.#browser = browser;
  }

  static async start(): Promise<TestBrowser> {
    const executablePath = "/usr/bin/chromium";
    // root has no sandbox of chromium's own; the test's network namespace is one.
    const args = ["--no-sandbox", "--disable-gpu"];
    return new TestBrowser(await chromium.launch({ executablePath, args }));
  }

  /** Opens a URL in a context of its own. */
  async visit(url: string, options: BrowserContextOptions = VIEWS.desktop): Promise<Visit> {
    const context = await this.#browser.newContext(options);
    const page = await context.newPage();
    const problems: string[] = [];
    page.on("console", (message) => {
      if (message.type() === "error") problems.push(message.text());
    });
    page.on("pageerror", (error) => problems.push(error.message));
    page.on("requestfailed", (request) => problems.push(`${request.url()} failed`));
    // A string: it runs in the page, whose types are not ours.
    if (options.javaScriptEnabled !== false) await page.addInitScript(COUNT_SHIFTS);
    await page.goto(url);
    return { page, problems };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#browser.close();
  }
}

const COUNT_SHIFTS = `
window.shifts = [];
new PerformanceObserver((list) => {
  for (const { hadRecentInput, value, sources } of list.getEntries()) {
    if (!hadRecentInput) shifts.push({ value, of: sources.map(({ node }) => (node?.outerHTML ?? "").slice(0, 80)) });
  }
}).observe({ type: "layout-shift", buffered: true });`;

/** An unexpected movement (web.dev/articles/cls): a sum of 0.1 is much. */
interface Shift {
  readonly value: number;
  /** The elements that moved. */
  readonly of: readonly string[];
}

export function layoutShifts(page: Page): Promise<Shift[]> {
  return page.evaluate("shifts");
}

/** Returns what axe-core finds, as `rule: element`. */
export async function accessibilityProblems(page: Page): Promise<string[]> {
  // Evaluated and not added as an element, which the page's policy would refuse.
  const { readFileSync } = await import("node:fs");
  await page.evaluate(readFileSync(AXE, "utf8"));
  return page.evaluate(`axe.run().then(({ violations }) =>
    violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => id + ": " + html)))`);
}

/** Makes a picture for docs/, if PAGE_PICTURES is set. */
export async function picture(page: Page, name: string): Promise<void> {
  if (process.env["PAGE_PICTURES"] !== "1") return;
  mkdirSync(PICTURES, { recursive: true });
  await page.screenshot({ path: `${PICTURES}${name}.png` });
}
