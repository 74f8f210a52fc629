/**
 * The file of --web-config: TLS and passwords of /metrics, in the format of Prometheus'
 * exporter-toolkit.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { createSecureContext } from "node:tls";
import { AbsentError } from "../../loader/errors.ts";
import type { TlsSettings, WebConfig } from "../options/metrics_address.ts";
import { suggestion } from "../options/suggest.ts";
import { ConfigDocument, type Value } from "./document.ts";

const VERSIONS = { TLS12: "TLSv1.2", TLS13: "TLSv1.3" } as const;
const CURVES = { X25519: "X25519", CurveP256: "P-256", CurveP384: "P-384", CurveP521: "P-521" };
/** Go's names of TLS 1.2's suites, as OpenSSL has them; those of TLS 1.3 are the same. */
const SUITE =
  /^TLS_(ECDHE)_(RSA|ECDSA)_WITH_(AES_128_GCM|AES_256_GCM|CHACHA20_POLY1305)_SHA(256|384)$/;
const CLIENT_AUTH = {
  NoClientCert: {},
  RequestClientCert: { requestCert: true, rejectUnauthorized: false },
  RequireAndVerifyClientCert: { requestCert: true, rejectUnauthorized: true },
} as const;
const HEADERS = [
  "Content-Security-Policy",
  "Strict-Transport-Security",
  "X-Content-Type-Options",
  "X-Frame-Options",
  "X-XSS-Protection",
];
const HASH = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/;
/** One check at this cost takes about a second. */
const MAX_COST = 14;

/** @throws AbsentError if the file cannot be read, ConfigError with every mistake in it */
export function readWebConfig(file: string): WebConfig {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new AbsentError(`--web-config ${file} cannot be read: ${(error as Error).message}`);
  }
  const document = new ConfigDocument(file, text);
  document.refuse();
  const top = keysOf(document.root, [
    "tls_server_config",
    "http_server_config",
    "basic_auth_users",
  ]);
  const tls = top.get("tls_server_config");
  const config = {
    tls: tls ? readTls(tls, dirname(file)) : null,
    headers: readHttp(top.get("http_server_config")),
    users: readUsers(top.get("basic_auth_users")),
  };
  document.refuse();
  return config;
}

/** Returns the values of a map; notes every key that is not one of `known`. */
function keysOf(value: Value, known: readonly string[]): Map<string, Value> {
  const entries = value.entries();
  for (const [key, each] of entries) {
    if (!known.includes(key)) each.note(`is not a key${suggestion(key, known)}`);
  }
  return entries;
}

const TLS_KEYS = [
  "cert_file",
  "key_file",
  "client_auth_type",
  "client_ca_file",
  "min_version",
  "max_version",
  "cipher_suites",
  "prefer_server_cipher_suites",
  "curve_preferences",
];

function readTls(value: Value, directory: string): TlsSettings | null {
  const before = value.document.count;
  const keys = keysOf(value, TLS_KEYS);
  const file = (key: string) => {
    const given = keys.get(key);
    const path = given?.text();
    return given && path !== undefined ? contents(given, resolve(directory, path)) : undefined;
  };
  const list = (key: string, nameOf: (given: string) => string | undefined) =>
    keys
      .get(key)
      ?.items()
      .flatMap((item) => oneOf(item, nameOf) ?? []);
  const [cert, key, ca] = [file("cert_file"), file("key_file"), file("client_ca_file")];
  for (const required of ["cert_file", "key_file"]) {
    if (!keys.has(required)) value.note(`${required} is missing`);
  }
  const minVersion = inTable(keys.get("min_version"), VERSIONS) ?? VERSIONS.TLS12;
  const maxVersion = inTable(keys.get("max_version"), VERSIONS) ?? VERSIONS.TLS13;
  if (minVersion > maxVersion) value.note("min_version is above max_version");
  const auth = inTable(keys.get("client_auth_type"), CLIENT_AUTH) ?? {};
  if (keys.has("client_ca_file") !== "requestCert" in auth) {
    value.note("client_ca_file and client_auth_type require each other");
  }
  const suites = list("cipher_suites", cipherName);
  const curves = list("curve_preferences", (name) => CURVES[name as keyof typeof CURVES]);
  const honorCipherOrder = keys.get("prefer_server_cipher_suites")?.flag() ?? true;
  if (value.document.count > before || !cert || !key) return null;
  const settings: TlsSettings = {
    cert,
    key,
    ...(ca ? { ca } : {}),
    ...auth,
    minVersion,
    maxVersion,
    ...(suites ? { ciphers: suites.join(":") } : {}),
    ...(curves ? { ecdhCurve: curves.join(":") } : {}),
    honorCipherOrder,
  };
  notePair(keys, settings);
  return settings;
}

/** Returns the contents of a file; notes that it cannot be read. */
function contents(value: Value, path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    value.note(`${path} cannot be read: ${(error as Error).message}`);
    return undefined;
  }
}

/** Notes a certificate and a key that do not serve, or not together. */
function notePair(keys: ReadonlyMap<string, Value>, settings: TlsSettings): void {
  const parsed = <T>(key: string, what: string, parse: () => T): T | undefined => {
    try {
      return parse();
    } catch {
      keys.get(key)?.note(`is not ${what} in PEM`);
      return undefined;
    }
  };
  const cert = parsed("cert_file", "a certificate", () => new X509Certificate(settings.cert));
  const key = parsed<KeyObject>("key_file", "a private key without a password", () =>
    createPrivateKey(settings.key),
  );
  const { ca } = settings;
  if (ca) parsed("client_ca_file", "a certificate", () => new X509Certificate(ca));
  if (!cert || !key) return;
  if (!cert.checkPrivateKey(key)) {
    keys.get("key_file")?.note("is not the key of the certificate in cert_file");
    return;
  }
  try {
    createSecureContext(settings);
  } catch (error) {
    keys.get("cert_file")?.note(`cannot be used: ${(error as Error).message}`);
  }
}

function cipherName(name: string): string | undefined {
  if (/^TLS_(AES|CHACHA20)_\w+$/.test(name)) return name;
  const [, exchange, signature, cipher, hash] = SUITE.exec(name) ?? [];
  if (cipher === undefined) return undefined;
  const short = cipher.replace("AES_", "AES").replaceAll("_", "-");
  return [exchange, signature, short, ...(cipher.startsWith("AES") ? [`SHA${hash}`] : [])].join(
    "-",
  );
}

function oneOf(value: Value, nameOf: (given: string) => string | undefined): string | undefined {
  const given = value.text();
  const name = given === undefined ? undefined : nameOf(given);
  if (given !== undefined && name === undefined) value.note(`'${given}' is not known or supported`);
  return name;
}

function inTable<T>(value: Value | undefined, table: Readonly<Record<string, T>>): T | undefined {
  const given = value?.text();
  if (value === undefined || given === undefined) return undefined;
  if (Object.hasOwn(table, given)) return table[given];
  value.note(`must be ${Object.keys(table).join(" or ")}, not '${given}'`);
  return undefined;
}

/** Returns the headers of every response. `http2` is read: we speak HTTP/1.1 only. */
function readHttp(value: Value | undefined): Record<string, string> {
  const headers: Record<string, string> = {};
  if (value === undefined) return headers;
  const keys = keysOf(value, ["http2", "headers"]);
  keys.get("http2")?.flag();
  const given = keys.get("headers");
  for (const [name, each] of given ? keysOf(given, HEADERS) : []) {
    const text = each.text();
    if (text !== undefined && /^[\x20-\x7e]*$/.test(text)) headers[name] = text;
    else if (text !== undefined) each.note("must be printable ASCII");
  }
  return headers;
}

/** Returns the bcrypt hash of each user's password. */
function readUsers(value: Value | undefined): Map<string, string> {
  const users = new Map<string, string>();
  for (const [name, each] of value?.entries() ?? []) {
    const hash = each.text();
    if (hash === undefined) continue;
    const cost = HASH.exec(hash)?.[1];
    if (cost === undefined || Number(cost) < 4) {
      each.note("is not a bcrypt hash: make one with `htpasswd -nBC 10 ''`");
    } else if (Number(cost) > MAX_COST) {
      each.note(`has a cost of ${cost}: make a hash of at most ${MAX_COST}`);
    } else if (name.includes(":")) each.note("a user's name has no colon");
    else users.set(name, hash);
  }
  return users;
}
