/** A group as a card: a picture that is drawn anew where it changed, and what moved on top. */
import { type Box, type Diagram, diagramOf, HEIGHT, pathBetween, WIDTH } from "./diagram.ts";
import { html, say, set, svg } from "./dom.ts";
import {
  endpointOf,
  type Flow,
  type GroupView,
  type ListenerJson,
  movedOf,
  netnsOf,
  summaryOf,
} from "./model.ts";

/** How long a listener is shown after it has closed, and connections flow, ms. */
const GHOST_MS = 2_500;
/** Flows that are drawn for one status; they are alike. */
const MAX_PATHS = 6;

interface BoxParts {
  readonly root: SVGGElement;
  readonly fill: SVGRectElement;
  readonly title: SVGTextElement;
  readonly details: readonly SVGTextElement[];
}

export class Card {
  readonly element: HTMLElement;
  readonly #title = html("h2");
  readonly #place = html("p", { class: "place" });
  readonly #counts = html("p", { class: "counts" });
  readonly #losses = html("p", { class: "losses" });
  readonly #picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" });
  readonly #columns = svg("g", { class: "columns" });
  readonly #pool = svg("g", { class: "pool" });
  readonly #boxes = svg("g");
  readonly #flows = svg("g", { class: "flows" });
  readonly #parts = new Map<string, BoxParts>();
  #ghosts: { readonly listener: ListenerJson; readonly untilMs: number }[] = [];
  #view: GroupView;
  /** When the hold expires, ms of performance.now(); 0: none is under way. */
  #expiresMs = 0;

  constructor(view: GroupView, nowMs: number) {
    this.#view = view;
    this.#picture.append(this.#columns, this.#pool, this.#boxes, this.#flows);
    this.element = html("article", { tabindex: 0 }, [
      html("header", {}, [this.#title, this.#place]),
      this.#picture,
      this.#counts,
      this.#losses,
    ]);
    this.update(view, nowMs);
  }

  get view(): GroupView {
    return this.#view;
  }

  update(view: GroupView, nowMs: number): void {
    this.#view = view;
    const untilMs = nowMs + GHOST_MS;
    this.#ghosts.push(...view.closed.map((listener) => ({ listener, untilMs })));
    const { group, losses } = view;
    this.#expiresMs = group.hold?.holding ? nowMs + (group.hold.left_ms ?? 0) : 0;
    say(this.#title, endpointOf(group));
    say(this.#place, `service ${group.service}, netns ${netnsOf(group)}`);
    say(this.#counts, `${movedOf(group)} moved, ${group.holds.connections.handed_over} held`);
    say(this.#losses, losses.map(({ count, reason }) => `${count} lost: ${reason}`).join("; "));
    set(this.element, { "data-state": this.#state() });
    set(this.#picture, { "aria-label": summaryOf(view) });
    const diagram = this.#draw();
    for (const flow of view.flows) this.#flow(diagram, flow);
  }

  /** Moves on: a countdown, and listeners that were shown long enough. Returns whether it goes on. */
  tick(nowMs: number): boolean {
    const before = this.#ghosts.length;
    this.#ghosts = this.#ghosts.filter(({ untilMs }) => untilMs > nowMs);
    if (this.#ghosts.length < before) this.#draw();
    if (this.#expiresMs > 0) {
      const left = Math.max(0, this.#expiresMs - nowMs) / 1_000;
      const text = this.#pool.querySelector(".left");
      if (text) say(text, `${left.toFixed(1)} s`);
    }
    return this.#ghosts.length > 0 || this.#expiresMs > 0;
  }

  #state(): string {
    const { group, losses } = this.#view;
    if (group.hold?.holding) return "holding";
    if (losses.length > 0) return "lossy";
    return group.attached ? "attached" : "idle";
  }

  #draw(): Diagram {
    const diagram = diagramOf(
      this.#view,
      this.#ghosts.map(({ listener }) => listener),
    );
    const titles = diagram.columns.map(({ title }) => title).join();
    if (this.#columns.getAttribute("data-titles") !== titles) {
      set(this.#columns, { "data-titles": titles });
      this.#columns.replaceChildren(
        ...diagram.columns.map(({ x, title }) => svg("text", { x, y: 14 }, title)),
      );
    }
    const ids = new Set(diagram.boxes.map(({ id }) => id));
    for (const [id, { root }] of this.#parts) {
      if (ids.has(id)) continue;
      root.remove();
      this.#parts.delete(id);
    }
    for (const box of diagram.boxes) this.#drawBox(box);
    this.#drawPool(diagram);
    return diagram;
  }

  #drawBox(box: Box): void {
    let parts = this.#parts.get(box.id);
    if (!parts) {
      const root = svg("g");
      const rect = svg("rect", { rx: 4, width: box.width, height: box.height });
      const fill = svg("rect", { class: "fill", x: 0, y: box.height - 3, height: 3 });
      const title = svg("text", { class: "who", x: 6, y: 12 });
      const details = [22, 31].map((y) => svg("text", { x: 6, y }));
      root.append(rect, fill, title, ...details);
      this.#boxes.append(root);
      parts = { root, fill, title, details };
      this.#parts.set(box.id, parts);
    }
    set(parts.root, { transform: `translate(${box.x} ${box.y})`, class: `box ${box.state}` });
    set(parts.fill, { width: (box.fill * box.width).toFixed(1) });
    say(parts.title, box.title);
    parts.details.forEach((line, i) => {
      say(line, box.details[i] ?? "");
    });
  }

  #drawPool({ pool }: Diagram): void {
    if (!pool) {
      this.#pool.replaceChildren();
      return;
    }
    const { x, y, width, height } = pool.box;
    if (this.#pool.childElementCount === 0) {
      this.#pool.append(
        svg("text", { x, y: 14 }, "standby"),
        svg("rect", { x, y, width, height, rx: 6 }),
        svg("rect", { class: "level", x, width, rx: 6 }),
        svg("text", { class: "count", x: x + width / 2, y: y + height / 2 }),
        svg("text", { class: "left", x: x + width / 2, y: y + height + 14 }),
      );
    }
    set(this.#pool, { class: pool.isHolding ? "pool holding" : "pool" });
    // A few connections are seen, too.
    const level = pool.isHolding ? Math.max(6, pool.fill * height) : 0;
    const rect = this.#pool.querySelector(".level");
    if (rect) set(rect, { y: (y + height - level).toFixed(1), height: level.toFixed(1) });
    const count = this.#pool.querySelector(".count");
    if (count) say(count, pool.text);
    const left = this.#pool.querySelector(".left");
    if (left && !pool.isHolding) say(left, "");
  }

  #flow(diagram: Diagram, { from, into, count }: Flow): void {
    const pairs = from.flatMap((start) => into.map((end) => [start, end] as const));
    const paths = pairs
      .flatMap(([start, end]) => (start === end ? [] : (pathBetween(diagram, start, end) ?? [])))
      .slice(0, MAX_PATHS);
    const group = svg("g");
    for (const d of paths) group.append(svg("path", { d, class: "flow" }));
    const label = svg("text", { x: WIDTH / 2, y: HEIGHT - 4, class: "moving" }, `${count} moving`);
    group.append(label);
    this.#flows.append(group);
    setTimeout(() => group.remove(), GHOST_MS);
  }
}
