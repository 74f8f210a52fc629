/** When exec --restart starts and stops the server: no processes, a clock that the test sets. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Action, decide, type ServerEvent, supervision } from "../../cli/exec/policy.ts";

const TIMES = { startTimeoutMs: 30_000, drainMs: 5_000, stopTimeoutMs: 10_000 };

/** A supervisor without processes. */
class Play {
  nowMs = 1_000;
  warnings: string[] = [];
  #state = supervision(this.nowMs);

  /** What is done, as `start 1`; what is said is kept apart. */
  on(happening: ServerEvent): string[] {
    const [state, actions] = decide(this.#state, happening, TIMES, this.nowMs);
    this.#state = state;
    for (const action of actions) {
      if (action.do === "say" && action.level === "warn") this.warnings.push(action.text);
    }
    return actions.filter(({ do: what }) => what !== "say").map(actionText);
  }

  tick(afterMs = 0): string[] {
    this.nowMs += afterMs;
    return this.on({ type: "tick" });
  }

  ready = (start: number) => this.on({ type: "ready", start });
  quiet = (start: number) => this.on({ type: "quiet", start });
  exited = (start: number, how = "with code 1") => this.on({ type: "exited", start, how });
  restart = () => this.on({ type: "restart" });
  end = (delivered = false) => this.on({ type: "end", delivered });

  get phases(): string[] {
    return this.#state.starts.map(({ number, phase }) => `${number} ${phase}`);
  }
}

function actionText(action: Action): string {
  return "start" in action ? `${action.do} ${action.start}` : action.do;
}

/** One start that is ready, and has done so for long enough to be replaced. */
function serving(): Play {
  const play = new Play();
  assert.deepEqual(play.tick(), ["start 1"]);
  assert.deepEqual(play.ready(1), []);
  play.tick(20_000);
  return play;
}

/** Its replacement is ready too. */
function replaced(): Play {
  const play = serving();
  assert.deepEqual(play.restart(), ["start 2"]);
  assert.deepEqual(play.ready(2), []);
  assert.deepEqual(play.phases, ["1 draining", "2 serving"]);
  return play;
}

test("a restart starts the new one, and stops the old one when that has no connection left", () => {
  const play = replaced();
  assert.deepEqual(play.tick(100), []);
  assert.deepEqual(play.quiet(1), ["stop 1"]);
  assert.deepEqual(play.exited(1, "with code 0"), []);
  assert.deepEqual(play.phases, ["2 serving"]);
  assert.deepEqual(play.warnings, []);
});

test("an old one that keeps connections is stopped when the time is over", () => {
  const play = replaced();
  assert.deepEqual(play.tick(TIMES.drainMs - 1), []);
  assert.deepEqual(play.tick(1), ["stop 1"]);
  assert.match(play.warnings.join(), /start 1 still has connections after 5s/);
});

test("one that does not stop is killed, once", () => {
  const play = replaced();
  play.quiet(1);
  assert.deepEqual(play.tick(TIMES.stopTimeoutMs), ["kill 1"]);
  assert.deepEqual(play.tick(TIMES.stopTimeoutMs), []);
});

test("a new one that is never ready is stopped again, and the old one stays", () => {
  const play = serving();
  play.restart();
  assert.deepEqual(play.tick(TIMES.startTimeoutMs), ["explain 2", "stop 2"]);
  assert.deepEqual(play.exited(2), []);
  assert.deepEqual(play.phases, ["1 serving"]);
  assert.match(play.warnings.join(), /start 2 is not ready after 30s: .* start 1 stays/);
});

test("a new one that exits before it is ready is not tried again, and the old one stays", () => {
  const play = serving();
  play.restart();
  assert.deepEqual(play.exited(2), []);
  assert.deepEqual(play.tick(60_000), []);
  assert.deepEqual(play.phases, ["1 serving"]);
  assert.match(play.warnings.join(), /start 2 ended with code 1: start 1 stays/);
});

test("an old one that is draining serves again when the new one dies", () => {
  const play = replaced();
  assert.deepEqual(play.exited(2), []);
  assert.deepEqual(play.phases, ["1 serving"]);
  assert.deepEqual(play.tick(60_000), []);
});

test("the new one takes over when the old one dies meanwhile", () => {
  const play = serving();
  play.restart();
  assert.deepEqual(play.exited(1), []);
  assert.deepEqual(play.ready(2), []);
  assert.deepEqual(play.phases, ["2 serving"]);
});

test("restarts asked for during one are one, and follow it", () => {
  const play = replaced();
  assert.deepEqual(play.restart(), []);
  assert.deepEqual(play.restart(), []);
  play.quiet(1);
  assert.deepEqual(play.tick(2_000), []);
  assert.deepEqual(play.exited(1), ["start 3"]);
  play.ready(3);
  play.quiet(2);
  assert.deepEqual(play.exited(2), []);
  assert.deepEqual(play.tick(60_000), []);
});

test("a restart waits until the server is no longer of the generation that a new listener joins", () => {
  const play = new Play();
  play.tick();
  assert.deepEqual(play.restart(), []);
  play.ready(1);
  assert.deepEqual(play.tick(1_000), []);
  assert.deepEqual(play.tick(500), ["start 2"]);
});

test("after an exit it starts again: soon, then later and later, and soon again once it ran", () => {
  const play = new Play();
  play.tick();
  for (const [i, ms] of [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000].entries()) {
    assert.deepEqual(play.exited(i + 1, "by SIGKILL"), []);
    assert.deepEqual(play.tick(ms - 1), []);
    assert.deepEqual(play.tick(1), [`start ${i + 2}`]);
  }
  play.tick(10_000);
  play.exited(9);
  assert.deepEqual(play.tick(100), ["start 10"]);
});

test("a restart does not wait for the back-off", () => {
  const play = new Play();
  play.tick();
  play.exited(1);
  assert.deepEqual(play.restart(), ["start 2"]);
});

test("a first start that does not listen is waited for, and that is said once", () => {
  const play = new Play();
  play.tick();
  assert.deepEqual(play.tick(TIMES.startTimeoutMs), ["explain 1"]);
  assert.deepEqual(play.tick(TIMES.startTimeoutMs), []);
  assert.equal(play.warnings.length, 1);
  assert.deepEqual(play.phases, ["1 starting"]);
});

test("the end stops all there are, and comes when none is left", () => {
  const play = replaced();
  assert.deepEqual(play.end(), ["stop 1", "stop 2"]);
  assert.deepEqual(play.restart(), []);
  assert.deepEqual(play.exited(1), []);
  assert.deepEqual(play.exited(2), ["finish"]);
});

test("what the terminal told the server is not told again, but insisted on", () => {
  const play = serving();
  assert.deepEqual(play.end(true), []);
  assert.deepEqual(play.tick(TIMES.stopTimeoutMs), ["kill 1"]);
});

test("an end while it waits to start again is the end", () => {
  const play = new Play();
  play.tick();
  play.exited(1);
  assert.deepEqual(play.end(), ["finish"]);
});
