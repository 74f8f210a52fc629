/** Lines of a log whose file is full, stalls or has gone: dropped and counted, never waited for. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { LineWriter } from "../../cli/output/line_writer.ts";

type Done = (error: NodeJS.ErrnoException | null, written: number) => void;

/** A file whose writes a test lets end, one after the other. */
class Slow {
  text = "";
  readonly asked: string[] = [];
  #end: (() => void) | null = null;
  /** Results of the next writes: bytes to take, or the error. The default takes all. */
  readonly results: (number | string)[] = [];

  readonly write = (_fd: number, bytes: Buffer, done: Done): void => {
    assert.equal(this.#end, null, "one write at a time");
    this.asked.push(bytes.toString());
    this.#end = () => {
      const result = this.results.shift() ?? bytes.length;
      if (typeof result === "string") {
        done(Object.assign(new Error(result), { code: result }), 0);
        return;
      }
      this.text += bytes.toString("utf8", 0, result);
      done(null, result);
    };
  };

  /** Lets every write end that is under way or follows. */
  async end(): Promise<void> {
    for (let end = this.#end; end !== null; end = this.#end) {
      this.#end = null;
      end();
      await turn();
    }
  }
}

interface Told {
  readonly count: number;
  readonly why: string;
}

function writer(maxBytes?: number) {
  const file = new Slow();
  const told: Told[] = [];
  const resumed = (count: number, why: string) => void told.push({ count, why });
  const limit = maxBytes === undefined ? {} : { maxBytes };
  return { file, told, lines: new LineWriter(9, { write: file.write, resumed, ...limit }) };
}

describe("lines", () => {
  test("are written in order, those that waited in one write", async () => {
    const { file, lines } = writer();
    for (const name of ["a", "b", "c"]) lines.write(`${name}\n`);
    await file.end();
    assert.equal(file.text, "a\nb\nc\n");
    assert.deepEqual(file.asked, ["a\n", "b\nc\n"]);
    assert.equal(lines.dropped, 0);
  });

  test("a write that takes a part is continued", async () => {
    const { file, lines } = writer();
    file.results.push(2, 1);
    lines.write("hello\n");
    await file.end();
    assert.equal(file.text, "hello\n");
    assert.equal(lines.dropped, 0);
  });

  test("a file that stalls costs the lines beyond a limit, and no memory", async () => {
    const { file, told, lines } = writer(6);
    for (let i = 0; i < 1000; i++) lines.write(`${i % 10}\n`);
    // One is being written, three wait.
    assert.equal(lines.dropped, 996);
    assert.deepEqual(told, []);
    await file.end();
    assert.equal(file.text, "0\n1\n2\n3\n");
    assert.deepEqual(told, [{ count: 996, why: "full" }]);
    lines.write("z\n");
    await file.end();
    assert.equal(file.text, "0\n1\n2\n3\nz\n");
    assert.equal(told.length, 1);
  });

  for (const code of ["ENOSPC", "EIO", "EPIPE", "ECONNRESET"]) {
    test(`${code}: dropped and counted; the next are tried`, async () => {
      const { file, told, lines } = writer();
      file.results.push(code, code);
      lines.write("a\n");
      lines.write("b\n");
      await file.end();
      assert.deepEqual([file.text, lines.dropped], ["", 2]);
      lines.write("c\n");
      await file.end();
      assert.equal(file.text, "c\n");
      assert.deepEqual(told, [{ count: 2, why: code }]);
    });
  }

  test("a line of which only the start was written does not spoil the next", async () => {
    const { file, lines } = writer();
    file.results.push(3, "ENOSPC", "ENOSPC");
    lines.write("hello\n");
    await file.end();
    lines.write("lost\n");
    await file.end();
    assert.deepEqual([file.text, lines.dropped], ["hel", 2]);
    lines.write("next\n");
    await file.end();
    assert.equal(file.text, "hel\nnext\n");
    assert.equal(lines.dropped, 2);
  });

  test("EAGAIN is no failure: the file is tried again", async () => {
    const { file, lines } = writer();
    file.results.push("EAGAIN");
    lines.write("a\n");
    await file.end();
    assert.equal(file.text, "");
    while (file.asked.length < 2) await turn();
    await file.end();
    assert.equal(file.text, "a\n");
    assert.equal(lines.dropped, 0);
  });
});

describe("drain", () => {
  test("waits for the lines under way", async () => {
    const { file, lines } = writer();
    assert.equal(await lines.drain(0), true);
    lines.write("a\n");
    lines.write("b\n");
    const drained = lines.drain(60_000);
    await file.end();
    assert.equal(await drained, true);
    assert.equal(file.text, "a\nb\n");
  });

  test("but not for ever", async () => {
    const { lines } = writer();
    lines.write("a\n");
    assert.equal(await lines.drain(1), false);
  });
});
