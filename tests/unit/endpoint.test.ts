/** The address of /metrics: taken, free again, changed by a reload. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Endpoint } from "../../cli/metrics/endpoint.ts";
import type { MetricsServer } from "../../cli/metrics/server.ts";
import type { MetricsAddress } from "../../cli/options/metrics_address.ts";
import { ConflictError } from "../../loader/errors.ts";
import type { SidecarEvent } from "../../loader/log.ts";
import { until } from "../helpers/until.ts";

const at = (port: number): MetricsAddress => ({ host: "127.0.0.1", port });

/** An endpoint, and ports that another process has. */
function endpointWith(...taken: number[]) {
  const ports = new Set(taken);
  const open: number[] = [];
  const log: SidecarEvent[] = [];
  let tries = 0;
  const serve = async ({ port }: MetricsAddress): Promise<MetricsServer> => {
    tries++;
    if (ports.has(port)) throw new ConflictError(`${port} is taken`);
    open.push(port);
    return {
      url: `http://${port}`,
      close: async () => void open.splice(open.indexOf(port), 1),
    };
  };
  const endpoint = new Endpoint({ serve, log: (event) => log.push(event), retryMs: 1 });
  return { endpoint, ports, open, log, tries: () => tries };
}

describe("an address", () => {
  test("that is free is served until the end", async () => {
    const { endpoint, open, log } = endpointWith();
    assert.equal(endpoint.url, "off");
    await endpoint.open(at(1));
    assert.equal(endpoint.url, "http://1");
    await endpoint.close();
    assert.deepEqual([open, log, endpoint.url], [[], [], "off"]);
  });

  test("that is taken is a warning, once, and served when it is free", async () => {
    const { endpoint, ports, open, log, tries } = endpointWith(1);
    await endpoint.open(at(1));
    assert.equal(endpoint.url, "taken");
    await until("it tries again", () => tries() > 3);
    assert.deepEqual(
      log.map(({ level, text }) => [level, text]),
      [["warn", "1 is taken; trying again"]],
    );
    ports.clear();
    await until("it is served", () => endpoint.url === "http://1");
    assert.deepEqual(open, [1]);
    assert.equal(log.at(-1)?.event, "metrics_served");
    await endpoint.close();
    assert.deepEqual(open, []);
  });

  test("that is taken is not tried after the end", async () => {
    const { endpoint, ports, tries } = endpointWith(1);
    await endpoint.open(at(1));
    await endpoint.close();
    ports.clear();
    const before = tries();
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(tries(), before);
  });
});

describe("a reload", () => {
  test("to a taken address is refused, and the old one served", async () => {
    const { endpoint, open } = endpointWith(2);
    await endpoint.open(at(1));
    await assert.rejects(endpoint.serveAt(at(2)), ConflictError);
    assert.deepEqual([endpoint.url, open], ["http://1", [1]]);
    await endpoint.close();
  });

  test("with the address that is taken still succeeds, as it changes nothing", async () => {
    const { endpoint, tries } = endpointWith(1);
    await endpoint.open(at(1));
    const before = tries();
    await endpoint.serveAt(at(1));
    assert.ok(tries() <= before + 1);
    assert.equal(endpoint.url, "taken");
    await endpoint.close();
  });
});
