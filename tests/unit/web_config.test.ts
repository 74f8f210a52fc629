/** The file of --web-config: what is read, and the sentence of each mistake. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { test } from "node:test";
import { ConfigError } from "../../cli/config/document.ts";
import { readWebConfig } from "../../cli/config/web_config.ts";
import { UsageError } from "../../loader/errors.ts";
import { TempDir } from "../helpers/host/child.ts";
import { FIRST, SECOND } from "../helpers/product/certificates.ts";

const HASH = "$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi";
const PAIR = "cert_file: cert.pem, key_file: key.pem";

/** Calls `body` with a function that reads a text as the file. */
function reading<T>(body: (read: (text: string) => ReturnType<typeof readWebConfig>) => T): T {
  using dir = new TempDir();
  writeFileSync(dir.file("cert.pem"), FIRST.cert);
  writeFileSync(dir.file("key.pem"), FIRST.key);
  writeFileSync(dir.file("other.pem"), SECOND.key);
  return body((text) => {
    const file = dir.file("web.yml");
    writeFileSync(file, text);
    return readWebConfig(file);
  });
}

test("a whole file; paths are relative to it", () => {
  const config = reading((read) =>
    read(`
tls_server_config:
  cert_file: cert.pem
  key_file: key.pem
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: cert.pem
  min_version: TLS13
  cipher_suites: [TLS_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256]
  prefer_server_cipher_suites: false
  curve_preferences: [X25519, CurveP256]
http_server_config:
  http2: false
  headers: {X-Frame-Options: deny}
basic_auth_users:
  prom: ${HASH}
`),
  );
  assert.deepEqual(config, {
    tls: {
      cert: Buffer.from(FIRST.cert),
      key: Buffer.from(FIRST.key),
      ca: Buffer.from(FIRST.cert),
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: "TLSv1.3",
      maxVersion: "TLSv1.3",
      ciphers: "TLS_AES_128_GCM_SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305",
      ecdhCurve: "X25519:P-256",
      honorCipherOrder: false,
    },
    headers: { "X-Frame-Options": "deny" },
    users: new Map([["prom", HASH]]),
  });
});

test("passwords alone, or TLS alone", () => {
  reading((read) => {
    assert.equal(read(`basic_auth_users: {a: ${HASH}}`).tls, null);
    const { tls, users } = read(`tls_server_config: {${PAIR}}`);
    assert.equal(tls?.minVersion, "TLSv1.2");
    assert.equal(users.size, 0);
  });
});

const MISTAKES: readonly (readonly [text: string, sentence: RegExp])[] = [
  ["", /web\.yml:1: must be a map/],
  ["a: [", /web\.yml:1: /],
  ["tls_sever_config: {}", /:1: tls_sever_config: is not a key.*tls_server_config/],
  ["rate_limit: {}", /rate_limit: is not a key: write one of/],
  [`tls_server_config: {${PAIR}, cert: x}`, /tls_server_config\.cert: is not a key/],
  ["http_server_config: {headers: {Server: x}}", /headers\.Server: is not a key/],
  ['http_server_config: {headers: {X-Frame-Options: "a\\nb"}}', /must be printable ASCII/],
  ["tls_server_config: {cert_file: cert.pem}", /tls_server_config: key_file is missing/],
  [
    "tls_server_config: {cert_file: none.pem, key_file: key.pem}",
    /cert_file: \/.*none\.pem cannot be read: ENOENT/,
  ],
  [
    "tls_server_config: {cert_file: key.pem, key_file: key.pem}",
    /cert_file: is not a certificate in PEM/,
  ],
  [
    "tls_server_config: {cert_file: cert.pem, key_file: cert.pem}",
    /key_file: is not a private key without a password in PEM/,
  ],
  [
    "tls_server_config: {cert_file: cert.pem, key_file: other.pem}",
    /key_file: is not the key of the certificate in cert_file/,
  ],
  [
    `tls_server_config: {${PAIR}, min_version: TLS11}`,
    /min_version: must be TLS12 or TLS13, not 'TLS11'/,
  ],
  [
    `tls_server_config: {${PAIR}, min_version: TLS13, max_version: TLS12}`,
    /min_version is above max_version/,
  ],
  [`tls_server_config: {${PAIR}, client_ca_file: cert.pem}`, /require each other/],
  [
    `tls_server_config: {${PAIR}, client_auth_type: RequireAndVerifyClientCert}`,
    /require each other/,
  ],
  [`tls_server_config: {${PAIR}, cipher_suites: [RC4]}`, /'RC4' is not known or supported/],
  [`tls_server_config: {${PAIR}, curve_preferences: P1}`, /'P1' is not known or supported/],
  ["basic_auth_users: {a: secret}", /basic_auth_users\.a: is not a bcrypt hash: make one with/],
  [`basic_auth_users: {a: "${HASH.replace("$10", "$31")}"}`, /a: has a cost of 31/],
  [`basic_auth_users: {"a:b": "${HASH}"}`, /a user's name has no colon/],
];

for (const [text, sentence] of MISTAKES) {
  test(`a mistake: ${text || "an empty file"}`, () => {
    reading((read) =>
      assert.throws(
        () => read(text),
        (error: unknown) => {
          assert.ok(error instanceof ConfigError);
          assert.match(error.message, sentence);
          return true;
        },
      ),
    );
  });
}

test("a password is in no error", () => {
  reading((read) =>
    assert.throws(
      () => read("basic_auth_users: {a: hunter2}"),
      (error: Error) => !error.message.includes("hunter2"),
    ),
  );
});

test("a file that cannot be read", () => {
  assert.throws(
    () => readWebConfig("/none/web.yml"),
    (error: unknown) => {
      assert.ok(error instanceof UsageError);
      assert.match(error.message, /^--web-config \/none\/web\.yml cannot be read: ENOENT/);
      return true;
    },
  );
});
