/**
 * The classes of prom-client in use. Its index also loads what pushes metrics, collects those of
 * clusters and watches the event loop: 9 MB of resident memory (bench row 14).
 */
import { createRequire } from "node:module";

type Client = typeof import("prom-client");

const require = createRequire(import.meta.url);

export const Counter: Client["Counter"] = require("prom-client/lib/counter");
export const Gauge: Client["Gauge"] = require("prom-client/lib/gauge");
export const Registry: Client["Registry"] = require("prom-client/lib/registry");
