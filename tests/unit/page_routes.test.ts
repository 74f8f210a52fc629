/** Who may read the page: a site may not, by pointing its own name at it. */
import assert from "node:assert/strict";
import type { IncomingMessage, ServerResponse } from "node:http";
import { test } from "node:test";
import { pageRoutes } from "../../cli/page/routes.ts";
import { SAMPLE } from "../helpers/product/status_sample.ts";

const routes = pageRoutes({
  readStatus: async () => SAMPLE,
  readEvents: (after) => ({ events: [], last: after, missed: 0, mapId: 0 }),
});

/** Returns the status code for a request that came to an address, with this Host. */
async function codeOf(localAddress: string, host: string | undefined): Promise<number> {
  let code = 0;
  const response = {
    setHeader: () => {},
    writeHead: (status: number) => {
      code = status;
      return response;
    },
    end: () => {},
  };
  await routes.get("/status.json")?.(
    { socket: { localAddress }, headers: { host } } as unknown as IncomingMessage,
    response as unknown as ServerResponse,
  );
  return code;
}

test("by address, as localhost, or without a Host, which no browser omits", async () => {
  for (const host of ["127.0.0.1:9944", "[::1]:9944", "localhost", "LOCALHOST:9944", undefined]) {
    assert.equal(await codeOf("127.0.0.1", host), 200, host);
  }
});

test("not by another name, on loopback", async () => {
  for (const address of ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"]) {
    for (const host of ["evil.example", "localhost.evil.example:9944", "127.0.0.1.evil.example"]) {
      assert.equal(await codeOf(address, host), 421, `${address} ${host}`);
    }
  }
  assert.equal(await codeOf("192.0.2.1", "monitored.example"), 200);
});
