/** What the page makes of two states of a group, and where it draws it. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { diagramOf, pathBetween, WIDTH } from "../../cli/page/browser/diagram.ts";
import {
  byActivity,
  flowsBetween,
  type GroupJson,
  isShown,
  type ListenerJson,
  lossesOf,
  Model,
  movedOf,
  POOL,
  summaryOf,
} from "../../cli/page/browser/model.ts";

const listener = (cookie: string, some: Partial<ListenerJson> = {}): ListenerJson => ({
  cookie,
  protocol: "tcp",
  generation: 1,
  role: "target",
  owners: [{ pid: 4711, comm: "nginx" }],
  queue_length: 0,
  queue_limit: 511,
  half_open: 0,
  migrated_out: 0,
  migrated_into: 0,
  ...some,
});

const group = (some: Partial<GroupJson> = {}): GroupJson => ({
  name: "1-ipv4-127_0_0_1-80",
  service: ":80",
  netns_name: null,
  family: "ipv4",
  address: "127.0.0.1",
  port: 80,
  attached: true,
  generation: 1,
  listeners: [listener("1")],
  decisions: [],
  hold: null,
  holds: { started: 0, connections: { handed_over: 0, reset: 0 } },
  closed_listeners: { migrated_out: 0, migrated_into: 0 },
  ...some,
});

const moved = (count: number) => [
  { stage: "syn", outcome: "selected", count: 1_000 },
  { stage: "accept_queue", outcome: "selected", count },
];

const HOLD = {
  time_ms: 10_000,
  max: 100,
  standby: true,
  holding: true,
  left_ms: 9_000,
  connections: 25,
  received_syn: 5,
  received_migrated: 20,
};

describe("flows", () => {
  test("go from listeners that closed to those that were given more", () => {
    const before = group({ listeners: [listener("1"), listener("2"), listener("3")] });
    const now = group({
      listeners: [listener("2", { migrated_into: 4 }), listener("3")],
      decisions: moved(4),
    });
    assert.deepEqual(flowsBetween(before, now), [{ from: ["1"], into: ["2"], count: 4 }]);
  });

  test("go to the pool, and out of it once a server is back", () => {
    const standby = listener("9", { role: "standby" });
    const held = group({ listeners: [standby], decisions: moved(20), hold: HOLD });
    const hold = { ...HOLD, holding: false, connections: 0, received_migrated: 0 };
    const first = group({ listeners: [listener("1"), standby], hold });
    assert.deepEqual(flowsBetween(first, held), [{ from: ["1"], into: [POOL], count: 20 }]);
    const back = group({
      listeners: [listener("2", { migrated_into: 25 }), listener("10", { role: "standby" })],
      decisions: moved(45),
      hold: { ...HOLD, holding: false, connections: 0 },
    });
    assert.deepEqual(flowsBetween(held, back), [{ from: [POOL], into: ["2"], count: 25 }]);
  });

  test("are none without a migration, also if a listener closed", () => {
    const before = group({ listeners: [listener("1"), listener("2")] });
    assert.deepEqual(flowsBetween(before, group({ listeners: [listener("2")] })), []);
  });
});

test("losses are drops by policy and held connections that were reset; new connections are none", () => {
  const lossy = group({
    decisions: [
      { stage: "syn", outcome: "dropped", count: 7 },
      { stage: "handshake_ack", outcome: "dropped", count: 2 },
    ],
    holds: { started: 1, connections: { handed_over: 0, reset: 3 } },
  });
  assert.deepEqual(
    lossesOf(lossy).map(({ count }) => count),
    [2, 3],
  );
});

describe("the model", () => {
  test("keeps what is active, forgets what is gone, and adds up", () => {
    const model = new Model();
    model.apply({ groups: [group(), group({ name: "other" })], gone: [] }, 1);
    const [name = ""] = model.apply({ groups: [group({ decisions: moved(3) })], gone: [] }, 5);
    assert.equal(model.views.get(name)?.activeMs, 0, "counts alone, without an end, are no flow");
    const closed = group({
      listeners: [listener("2", { migrated_into: 3 })],
      decisions: moved(6),
    });
    model.apply({ groups: [closed], gone: [] }, 7);
    assert.equal(model.views.get(name)?.activeMs, 7);
    assert.deepEqual(
      model.views.get(name)?.closed.map(({ cookie }) => cookie),
      ["1"],
    );
    assert.deepEqual([...model.views.values()].sort(byActivity)[0]?.group.name, name);
    assert.deepEqual(model.totals(), { moved: 6, held: 0, lost: 0 });
    assert.deepEqual(model.keep(new Set([name])), ["other"]);
    model.apply({ groups: [], gone: [name] }, 8);
    assert.equal(model.views.size, 0);
  });

  test("finds groups by text, service and namespace", () => {
    const model = new Model();
    const [name = ""] = model.apply({ groups: [group()], gone: [] }, 1);
    const view = model.views.get(name);
    assert.ok(view);
    const all = { text: "", service: "", netns: "" };
    const cases = [
      [{ ...all }, true],
      [{ ...all, text: "NGINX 47" }, true],
      [{ ...all, text: "haproxy" }, false],
      [{ ...all, service: ":80" }, true],
      [{ ...all, service: ":81" }, false],
      [{ ...all, netns: "own" }, true],
      [{ ...all, netns: "web" }, false],
    ] as const;
    for (const [wanted, shown] of cases) assert.equal(isShown(view, wanted), shown);
    assert.match(summaryOf(view), /^127\.0\.0\.1:80, service :80: 1 listeners, 0 connections/);
    assert.equal(movedOf(group({ decisions: moved(2) })), 2);
  });
});

describe("the picture", () => {
  const viewOf = (it: GroupJson) => {
    const model = new Model();
    const [name = ""] = model.apply({ groups: [it], gone: [] }, 1);
    const view = model.views.get(name);
    assert.ok(view);
    return view;
  };

  test("has the newest generations as columns, and no part overlaps another", () => {
    const listeners = Array.from({ length: 60 }, (_, i) =>
      listener(String(i), { generation: 1 + (i % 5), queue_length: i }),
    );
    const { boxes, columns, pool } = diagramOf(
      viewOf(group({ listeners, generation: 5, hold: HOLD })),
      [listener("gone", { generation: 4 })],
    );
    assert.deepEqual(
      columns.map(({ title }) => title),
      ["generation 3", "generation 4", "gen. 5, newest"],
    );
    assert.equal(boxes.length, 12);
    assert.ok(pool?.isHolding && pool.fill === 0.25);
    const parts = [...boxes, pool.box];
    for (const [i, a] of parts.entries()) {
      assert.ok(a.x >= 0 && a.x + a.width <= WIDTH);
      for (const b of parts.slice(i + 1)) {
        const apart =
          a.x + a.width <= b.x ||
          b.x + b.width <= a.x ||
          a.y + a.height <= b.y ||
          b.y + b.height <= a.y;
        assert.ok(apart, `${JSON.stringify(a)} ${JSON.stringify(b)}`);
      }
    }
  });

  test("draws a flow between what it shows, listeners that share a box included", () => {
    const listeners = Array.from({ length: 9 }, (_, i) => listener(String(i)));
    const diagram = diagramOf(viewOf(group({ listeners, hold: HOLD })), []);
    assert.match(pathBetween(diagram, "0", "8") ?? "", /^M[\d.]+ [\d.]+C/);
    assert.match(pathBetween(diagram, "7", POOL) ?? "", /^M/);
    assert.equal(pathBetween(diagram, "0", "not shown"), null);
  });
});
