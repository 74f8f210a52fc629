/** Where the parts of a card's picture are: generations as columns, listeners as boxes. Pure. */
import { type GroupView, type ListenerJson, POOL } from "./model.ts";

export const WIDTH = 400;
export const HEIGHT = 216;
const TOP = 22;
const BOX = { width: 92, height: 38, gap: 6 } as const;
/** Between two columns, where connections are seen to flow. */
const GAP = 20;
/** Boxes of a column; further listeners share the last one. */
const ROWS = 4;
/** Columns of generations: the newest ones. */
const COLUMNS = 3;
const POOL_BOX = { x: WIDTH - 56, y: TOP, width: 48, height: HEIGHT - TOP - 40 } as const;

export interface Box {
  readonly id: string;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly title: string;
  /** At most two lines. */
  readonly details: readonly string[];
  /** Of its accept queue: 0 to 1. */
  readonly fill: number;
  readonly state: string;
}

export interface Column {
  readonly x: number;
  readonly title: string;
}

export interface Pool {
  readonly box: typeof POOL_BOX;
  readonly fill: number;
  readonly text: string;
  readonly isHolding: boolean;
}

export interface Diagram {
  readonly columns: readonly Column[];
  readonly boxes: readonly Box[];
  readonly pool: Pool | null;
}

/** Returns the picture of a group, with listeners that have just closed. */
export function diagramOf({ group }: GroupView, ghosts: readonly ListenerJson[]): Diagram {
  const living = group.listeners.filter(({ role }) => role !== "standby");
  const all = [
    ...living.map((listener) => ({ listener, state: listener.role })),
    ...ghosts.map((listener) => ({ listener, state: "closed" })),
  ];
  const numbers = [...new Set(all.map(({ listener }) => listener.generation ?? 0))];
  const shown = numbers.sort((a, b) => a - b).slice(-COLUMNS);
  const columns = shown.map((number, i) => ({
    x: 4 + i * (BOX.width + GAP),
    title: titleOf(number, group.generation),
  }));
  const boxes = shown.flatMap((number, i) => {
    const own = all.filter(({ listener }) => (listener.generation ?? 0) === number);
    return boxesOf(own, columns[i]?.x ?? 0);
  });
  return { columns, boxes, pool: poolOf(group.hold) };
}

function titleOf(number: number, newest: number): string {
  if (number === 0) return "no slot";
  return number === newest ? `gen. ${number}, newest` : `generation ${number}`;
}

interface Placed {
  readonly listener: ListenerJson;
  readonly state: string;
}

function boxesOf(own: readonly Placed[], x: number): Box[] {
  const single = own.length > ROWS ? own.slice(0, ROWS - 1) : own;
  const rest = own.slice(single.length);
  const at = (i: number) => ({ x, y: TOP + i * (BOX.height + BOX.gap), ...BOX });
  const boxes = single.map(({ listener, state }, i) => ({
    ...at(i),
    id: listener.cookie,
    title: ownerOf(listener),
    details: detailsOf([listener]),
    fill: fillOf([listener]),
    state,
  }));
  if (rest.length === 0) return boxes;
  const listeners = rest.map(({ listener }) => listener);
  return [
    ...boxes,
    {
      ...at(single.length),
      id: listeners.map(({ cookie }) => cookie).join(" "),
      title: `${rest.length} more`,
      details: detailsOf(listeners),
      fill: fillOf(listeners),
      state: rest[0]?.state ?? "",
    },
  ];
}

function ownerOf({ owners: [owner] }: ListenerJson): string {
  return owner ? `${owner.comm} ${owner.pid}` : "unknown";
}

function detailsOf(listeners: readonly ListenerJson[]): string[] {
  const waiting = listeners.reduce((sum, it) => sum + it.queue_length, 0);
  const halfOpen = listeners.reduce((sum, it) => sum + it.half_open, 0);
  return [
    ...(waiting > 0 ? [`${waiting} waiting`] : []),
    ...(halfOpen > 0 ? [`${halfOpen} half-open`] : []),
  ];
}

function fillOf(listeners: readonly ListenerJson[]): number {
  const length = listeners.reduce((sum, it) => sum + it.queue_length, 0);
  const limit = listeners.reduce((sum, it) => sum + it.queue_limit, 0);
  return limit > 0 ? Math.min(1, length / limit) : 0;
}

function poolOf(hold: GroupView["group"]["hold"]): Pool | null {
  if (!hold) return null;
  const fill = hold.holding ? Math.min(1, hold.connections / Math.max(1, hold.max)) : 0;
  const text = hold.holding ? String(hold.connections) : hold.standby ? "ready" : "off";
  return { box: POOL_BOX, fill, text, isHolding: hold.holding };
}

/** Returns the path of a flow between two boxes, as an SVG path. */
export function pathBetween(diagram: Diagram, from: string, into: string): string | null {
  const [start, end] = [placeOf(diagram, from), placeOf(diagram, into)];
  if (!start || !end) return null;
  const middle = (box: Place) => box.y + box.height / 2;
  const right = (box: Place) => box.x + box.width;
  // Out of the side that faces the other one; between two of a column, around its right.
  const isLeft = end.x < start.x;
  const [x1, x2] = [isLeft ? start.x : right(start), end.x > start.x ? end.x : right(end)];
  const [bend1, bend2] = [isLeft ? -GAP : GAP, end.x > start.x ? -GAP : GAP];
  const [y1, y2] = [middle(start), middle(end)];
  return `M${x1} ${y1}C${x1 + bend1} ${y1} ${x2 + bend2} ${y2} ${x2} ${y2}`;
}

type Place = Pick<Box, "x" | "y" | "width" | "height">;

function placeOf({ boxes, pool }: Diagram, id: string): Place | undefined {
  return id === POOL ? pool?.box : boxes.find((each) => each.id.split(" ").includes(id));
}
