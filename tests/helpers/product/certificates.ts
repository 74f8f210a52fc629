/**
 * Two self-signed certificates for 127.0.0.1 with their keys, for tests only, and files of
 * --web-config made of them.
 */
import { writeFileSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";
import { hashSync } from "bcryptjs";

export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

export const FIRST: Certificate = {
  cert: `-----BEGIN CERTIFICATE-----
MIIBiTCCAS6gAwIBAgIUW2iQG48mx43JJO96iewm2D7Fw6EwCgYIKoZIzj0EAwIw
EDEOMAwGA1UEAwwFZmlyc3QwIBcNMjYxMTI5MTYwMDMxWhgPMjEyNjExMDUxNjAw
MzFaMBAxDjAMBgNVBAMMBWZpcnN0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE
tiXdYL3n8CU3ZSPNzbxueaKlTsKi2cM+xwGoxfFpCcBF3yxpazCTLBUZ31wN+A2q
jvf8BNG01whVdaNuZ/6E/qNkMGIwHQYDVR0OBBYEFLPSl+Q3rbo6JXQ9BmaIreGd
n6IgMB8GA1UdIwQYMBaAFLPSl+Q3rbo6JXQ9BmaIreGdn6IgMA8GA1UdEwEB/wQF
MAMBAf8wDwYDVR0RBAgwBocEfwAAATAKBggqhkjOPQQDAgNJADBGAiEAmhm8tiDk
CGXaiRiXXIHrIOOB/d6Qqe/3ocv2K7nRVicCIQD+s14owxSWnXF8+LYptwun3uhn
OVQO7857jG6g4sS8Vw==
-----END CERTIFICATE-----
`,
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg5P9NmOce4W3QjdO4
twJqDPssU1uVV6KTgLwlHAKDRbKhRANCAAS2Jd1gvefwJTdlI83NvG55oqVOwqLZ
wz7HAajF8WkJwEXfLGlrMJMsFRnfXA34DaqO9/wE0bTXCFV1o25n/oT+
-----END PRIVATE KEY-----
`,
};

export const SECOND: Certificate = {
  cert: `-----BEGIN CERTIFICATE-----
MIIBijCCATCgAwIBAgIUXMsiup7+l35yb0imQ1iV04czavQwCgYIKoZIzj0EAwIw
ETEPMA0GA1UEAwwGc2Vjb25kMCAXDTI2MTEyOTE2MDAzMVoYDzIxMjYxMTA1MTYw
MDMxWjARMQ8wDQYDVQQDDAZzZWNvbmQwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AASCaAtvAdhrSQRr2q/MvpbyN+fD4OlWsqxMyzscL7HdPq4LUG8pMS0rtHylzQUQ
FFxPltThLf3+WPxGsX4JtgCGo2QwYjAdBgNVHQ4EFgQU2C+y97HiMAlEqTDWv8Fi
z4kbwt0wHwYDVR0jBBgwFoAU2C+y97HiMAlEqTDWv8Fiz4kbwt0wDwYDVR0TAQH/
BAUwAwEB/zAPBgNVHREECDAGhwR/AAABMAoGCCqGSM49BAMCA0gAMEUCIQCg6jFh
/ynp5xsovoMp/3cTHvVQtDEvp4LFQc+pkklndAIgEhAY3y0/1MWLxxP6/PB0DNg6
IKzzkF9myHuGWhnoUSQ=
-----END CERTIFICATE-----
`,
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgrl/2uHVxvSS0tzk9
CXf1Tfu07vhnM/079A/ZeXwEIEihRANCAASCaAtvAdhrSQRr2q/MvpbyN+fD4OlW
sqxMyzscL7HdPq4LUG8pMS0rtHylzQUQFFxPltThLf3+WPxGsX4JtgCG
-----END PRIVATE KEY-----
`,
};

/** Writes a file of --web-config with a certificate and one user; returns its path. */
export function writeWebConfig(
  directory: string,
  { cert, key }: Certificate,
  [user, password]: readonly [string, string],
): string {
  writeFileSync(join(directory, "cert.pem"), cert);
  writeFileSync(join(directory, "key.pem"), key, { mode: 0o600 });
  const file = join(directory, "web.yml");
  writeFileSync(
    file,
    `tls_server_config: {cert_file: cert.pem, key_file: key.pem}
basic_auth_users: {${user}: "${hashSync(password, 4)}"}
`,
  );
  return file;
}

/** Returns the status and the text of a GET over TLS by a client that trusts one certificate. */
export function getOverTls(
  url: string,
  ca: string,
  auth?: string,
): Promise<{ status: number | undefined; text: string }> {
  return new Promise((resolve, reject) => {
    const options = { ca, agent: false as const, ...(auth === undefined ? {} : { auth }) };
    const sent = request(url, options, async (response) => {
      let text = "";
      for await (const chunk of response.setEncoding("utf8")) text += chunk;
      resolve({ status: response.statusCode, text });
    });
    sent.once("error", reject);
    sent.end();
  });
}
