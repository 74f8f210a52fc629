/** Events as they are pinned, and which of them a user asked for. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { isSelected, type Selection } from "../../cli/events/selection.ts";
import { LAYOUT } from "../../loader/core/abi.ts";
import { parseSpec } from "../../loader/core/spec.ts";
import { decodeEvent, encodeEvent, type PastEvent } from "../../loader/events/event_record.ts";
import { EVENTS } from "../../loader/log.ts";

const GROUP = "4026531840-ipv4-127_0_0_1-8080";

const event = (some: Partial<PastEvent> = {}): PastEvent => ({
  id: 7,
  timeMs: 1_800_000_000_123,
  pid: 4711,
  level: "warn",
  event: "moved",
  text: "127.0.0.1:8080: 5 waiting connections moved",
  fields: { group: GROUP, accept_queue: 5 },
  ...some,
});

describe("a record", () => {
  test("comes back as it was", () => {
    assert.deepEqual(decodeEvent(encodeEvent(event()), 7), event());
  });

  test("is none under another number", () => {
    assert.equal(decodeEvent(encodeEvent(event()), 8), null);
  });

  test("is none while it is being written, or if it was not", () => {
    const bytes = encodeEvent(event());
    encodeEvent(event({ id: 8 })).copy(bytes, 0, 0, 512);
    assert.deepEqual([decodeEvent(bytes, 7), decodeEvent(bytes, 8)], [null, null]);
    assert.equal(decodeEvent(Buffer.alloc(LAYOUT.rm_event.size), 0), null);
    const torn = encodeEvent(event());
    torn.fill("}", LAYOUT.rm_event.members.json, 100);
    assert.equal(decodeEvent(torn, 7), null);
  });

  test("has as much of a text as fits, in whole characters", () => {
    for (const character of ["x", "é", "😀", '"', "\u0001"]) {
      for (const length of [200, 900, 2_000]) {
        const long = event({ text: character.repeat(length) });
        const { text = "" } = decodeEvent(encodeEvent(long), 7) ?? {};
        const whole = text.replace(/\u2026$/, "");
        assert.equal(whole, character.repeat([...whole].length));
        assert.ok(whole.length >= Math.min(length, 100), `${character}: ${whole.length}`);
      }
    }
  });

  test("keeps its members when its text is cut off, unless they alone do not fit", () => {
    const long = event({ text: "x".repeat(2_000) });
    assert.deepEqual(decodeEvent(encodeEvent(long), 7)?.fields, long.fields);
    const large = event({ fields: { group: "x".repeat(2_000) } });
    assert.deepEqual(decodeEvent(encodeEvent(large), 7)?.fields, {});
  });
});

describe("a selection", () => {
  const all: Selection = { specs: [], level: "info", names: [], sinceMs: 0 };
  const chosen = (some: Partial<Selection>, it = event()) => isSelected(it, { ...all, ...some });

  test("by SPEC: events of groups, and warnings about them", () => {
    const [own, other] = [[parseSpec(":8080")], [parseSpec(":81")]];
    assert.deepEqual([chosen({ specs: own }), chosen({ specs: other })], [true, false]);
    const warning = event({ fields: { about: `${GROUP} lasting` } });
    assert.deepEqual(
      [chosen({ specs: own }, warning), chosen({ specs: other }, warning)],
      [true, false],
    );
    assert.equal(chosen({ specs: own }, event({ fields: {} })), false);
  });

  test("by level, name and time", () => {
    assert.deepEqual(
      [chosen({ level: "info" }), chosen({ level: "warn" }), chosen({ level: "error" })],
      [true, true, false],
    );
    assert.deepEqual([chosen({ names: ["moved"] }), chosen({ names: ["grown"] })], [true, false]);
    const { timeMs } = event();
    assert.deepEqual([chosen({ sinceMs: timeMs }), chosen({ sinceMs: timeMs + 1 })], [true, false]);
  });
});

test("docs/EVENTS.md has every event, and no other", () => {
  const path = fileURLToPath(new URL("../../../docs/EVENTS.md", import.meta.url));
  const rows = readFileSync(path, "utf8").matchAll(/^\| (`[^|]+) \|/gm);
  const named = [...rows].flatMap(([, cell = ""]) => [...cell.matchAll(/`(\w+)`/g)]);
  assert.deepEqual(named.map(([, name]) => name).toSorted(), EVENTS.toSorted());
});
