/** The page: follows /events, and shows groups as cards, totals and the last events. */
import { Card } from "./card.ts";
import { html, say, set } from "./dom.ts";
import { byActivity, isShown, Model, netnsOf, type StatusJson, type Wanted } from "./model.ts";

/** Events that are listed. */
const MAX_EVENTS = 100;
/** Between two sorts while nobody looks at the cards closely, ms. */
const SORT_MS = 5_000;

interface EventJson {
  readonly id: number;
  readonly time: string;
  readonly level: string;
  readonly msg: string;
}

const model = new Model();
const cards = new Map<string, Card>();
const moving = new Set<Card>();
let filter: Wanted = { text: "", service: "", netns: "" };

const state = html("p", { id: "state", role: "status" }, ["connecting ..."]);
const totals = html("p", { id: "totals" }, ["0 moved, 0 held and handed over, 0 lost"]);
const search = html("input", {
  type: "search",
  placeholder: "address, process (/)",
  "aria-label": "Search groups",
});
const services = html("select", { "aria-label": "Service" });
const namespaces = html("select", { "aria-label": "Network namespace" });
const shown = html("p", { id: "shown", role: "status" });
const list = html("section", { id: "groups", "aria-label": "Groups" });
const events = html("ol", { id: "events", tabindex: 0, "aria-labelledby": "log-title" });
const log = html("section", { id: "log", "aria-labelledby": "log-title" }, [
  html("h2", { id: "log-title" }, ["Events"]),
  events,
]);

function build(): void {
  const main = document.getElementById("main");
  document.querySelector("body > header")?.append(totals, state);
  const tools = html("form", { id: "tools", role: "search" }, [
    search,
    services,
    namespaces,
    shown,
  ]);
  tools.addEventListener("submit", (event) => event.preventDefault());
  for (const input of [search, services, namespaces]) {
    input.addEventListener("input", () => {
      filter = { text: search.value, service: services.value, netns: namespaces.value };
      arrange();
    });
  }
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.target === search) return;
    event.preventDefault();
    search.focus();
  });
  main?.replaceChildren(tools, list, log);
}

/** Shows the cards that pass the filter, in order. Moves as few as it can. */
function arrange(): void {
  const views = [...model.views.values()].filter((view) => isShown(view, filter)).sort(byActivity);
  const wanted = views.flatMap(({ group }) => cards.get(group.name)?.element ?? []);
  const isWanted = new Set<Element>(wanted);
  for (const element of [...list.children]) if (!isWanted.has(element)) element.remove();
  wanted.forEach((element, i) => {
    if (list.children[i] !== element) list.insertBefore(element, list.children[i] ?? null);
  });
  const all = model.views.size;
  const groups = `${all} group${all === 1 ? "" : "s"}`;
  say(shown, views.length === all ? groups : `${views.length} of ${groups}`);
}

function choices(select: HTMLSelectElement, all: string, values: ReadonlySet<string>): void {
  const wanted = ["", ...[...values].sort()];
  const has = [...select.options].map(({ value }) => value);
  if (wanted.join("\n") === has.join("\n") && has.length > 0) return;
  const chosen = select.value;
  select.replaceChildren(...wanted.map((value) => html("option", { value }, [value || all])));
  select.value = values.has(chosen) ? chosen : "";
}

function update(status: StatusJson, isWhole: boolean): void {
  const nowMs = performance.now();
  const names = model.apply(status, nowMs);
  if (isWhole) names.push(...model.keep(new Set(status.groups.map(({ name }) => name))));
  let isNew = false;
  for (const name of names) {
    const view = model.views.get(name);
    const card = cards.get(name);
    if (!view) {
      card?.element.remove();
      if (card) moving.delete(card);
      isNew = cards.delete(name) || isNew;
    } else if (card) {
      card.update(view, nowMs);
      moving.add(card);
    } else {
      const made = new Card(view, nowMs);
      cards.set(name, made);
      moving.add(made);
      isNew = true;
    }
  }
  set(log, { class: "placed" });
  const { moved, held, lost } = model.totals();
  say(totals, `${moved} moved, ${held} held and handed over, ${lost} lost`);
  set(totals, { class: lost > 0 ? "lost" : "" });
  if (!isNew) return;
  const groups = [...model.views.values()].map(({ group }) => group);
  choices(services, "all services", new Set(groups.map(({ service }) => service)));
  choices(namespaces, "all namespaces", new Set(groups.map(netnsOf)));
  arrange();
}

function addEvent({ time, level, msg }: EventJson): void {
  const clock = html("time", { datetime: time }, [time.slice(11, 23)]);
  const isAtEnd = events.scrollTop + events.clientHeight > events.scrollHeight - 4;
  events.append(html("li", { class: level }, [clock, ` ${msg}`]));
  while (events.childElementCount > MAX_EVENTS) events.firstElementChild?.remove();
  if (isAtEnd) events.scrollTop = events.scrollHeight;
}

function follow(): void {
  const source = new EventSource("events");
  let isWhole = true;
  source.addEventListener("open", () => {
    isWhole = true;
    say(state, "live");
    set(state, { class: "live" });
  });
  source.addEventListener("error", () => {
    say(state, "the sidecar does not answer; trying again");
    set(state, { class: "lost" });
  });
  source.addEventListener("log", ({ data }) => addEvent(JSON.parse(data)));
  source.addEventListener("missed", ({ data }) => {
    addEvent({
      id: 0,
      time: new Date().toISOString(),
      level: "warn",
      msg: `${data} events were missed`,
    });
  });
  source.addEventListener("status", ({ data }) => {
    update(JSON.parse(data), isWhole);
    isWhole = false;
  });
}

function animate(): void {
  const nowMs = performance.now();
  for (const card of moving) if (!card.tick(nowMs)) moving.delete(card);
  requestAnimationFrame(animate);
}

build();
follow();
requestAnimationFrame(animate);
setInterval(() => {
  if (!list.matches(":hover, :focus-within")) arrange();
}, SORT_MS);
