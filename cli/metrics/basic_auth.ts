/**
 * Passwords of /metrics (RFC 7617). A right one is checked once, as bcrypt is slow on purpose; wrong
 * ones cost no time of the event loop, and only few wait for their check.
 */
import { createHmac, randomBytes } from "node:crypto";

export interface Checker {
  /** Returns whether the password has this hash. @throws if it cannot be found out */
  compare(password: string, hash: string): Promise<boolean>;
  close(): void;
}

export type Verdict = "allowed" | "refused" | "busy";

/** Checks that run or wait at a time. */
const MAX_CHECKS = 8;
/** Right credentials that are remembered: a user has one password, and few spellings of it. */
const MAX_KNOWN = 100;

export class BasicAuth {
  readonly #users: ReadonlyMap<string, string>;
  readonly #checker: Checker;
  /** Digests of right credentials: what is in memory is no password, nor a fast way to one. */
  readonly #known = new Set<string>();
  readonly #secret = randomBytes(32);
  readonly #checks = new Map<string, Promise<boolean>>();

  /** @param users bcrypt hashes by name */
  constructor(users: ReadonlyMap<string, string>, checker: Checker) {
    this.#users = users;
    this.#checker = checker;
  }

  /** @param authorization the request's header */
  async verdict(authorization: string | undefined): Promise<Verdict> {
    const [anyHash] = this.#users.values();
    const given = credentials(authorization);
    if (given === null || anyHash === undefined) return "refused";
    const { user, password } = given;
    const hash = this.#users.get(user);
    const digest = this.#digest(JSON.stringify([user, hash, password]));
    if (this.#known.has(digest)) return "allowed";
    let check = this.#checks.get(digest);
    if (check === undefined) {
      if (this.#checks.size >= MAX_CHECKS) return "busy";
      // An unknown user takes as long as a known one.
      check = this.#checker
        .compare(password, hash ?? anyHash)
        .finally(() => this.#checks.delete(digest));
      this.#checks.set(digest, check);
    }
    const isRight = await check.catch(() => null);
    if (isRight === null) return "busy";
    if (!isRight || hash === undefined) return "refused";
    if (this.#known.size < MAX_KNOWN) this.#known.add(digest);
    return "allowed";
  }

  close(): void {
    this.#checker.close();
  }

  #digest(text: string): string {
    return createHmac("sha256", this.#secret).update(text).digest("base64");
  }
}

function credentials(header = ""): { user: string; password: string } | null {
  const encoded = /^basic +([A-Za-z0-9+/=]+)$/i.exec(header)?.[1];
  if (encoded === undefined) return null;
  const [, user, password] =
    /^([^:]*):(.*)$/s.exec(Buffer.from(encoded, "base64").toString()) ?? [];
  return user === undefined || password === undefined ? null : { user, password };
}
