/** Binds that fail because of a group's standby, from one step of its hold to the next. */
import type { GroupKey } from "../core/listener.ts";
import { isExhausted } from "../errors.ts";
import { message } from "../log.ts";
import { type RefusedBind, watchBinds } from "../observe/standby_binds.ts";
import { boottimeMs } from "../sys/libc.ts";

/**
 * A hold ends for a server that was refused twice, or once and this long ago, ms. The first one may
 * be a test of a configuration, which binds without SO_REUSEPORT and is content to fail: Debian's
 * nginx.service runs `nginx -t` before each start. Clients that wait would be reset for nothing.
 */
const TEST_MS = 5_000;
/**
 * Two binds of one process count as tries if they are this far apart, ms: the others are of one try,
 * to several addresses with the port.
 */
const TRY_MS = 100;

interface Refused {
  readonly bind: RefusedBind;
  /** CLOCK_BOOTTIME */
  readonly atMs: number;
}

export class RefusedBinds implements Disposable {
  readonly #arrived: () => void;
  #stop: () => void = () => {};
  #first: Refused | null = null;
  #second: RefusedBind | null = null;
  #failure: string | null = null;
  #again: (() => void) | null = null;

  /** @param arrived called for each of them */
  constructor(arrived: () => void) {
    this.#arrived = arrived;
  }

  /** Watches those that a standby of this user makes fail, instead of those before. */
  watch(key: GroupKey, uid: number): void {
    this[Symbol.dispose]();
    try {
      this.#stop = watchBinds(key, uid, (bind) => {
        this.#add({ bind, atMs: boottimeMs() });
        this.#arrived();
      });
      this.#failure = null;
    } catch (error) {
      this.#failure = message(error);
      this.#again = isExhausted(error) ? () => this.watch(key, uid) : null;
    }
  }

  /** Watches again, if no file descriptor was free. */
  retry(): void {
    this.#again?.();
  }

  /** Why they are not watched; null: they are. */
  get failure(): string | null {
    return this.#failure;
  }

  #add(refused: Refused): void {
    if (this.#first === null) this.#first = refused;
    else if (isAnotherTry(this.#first, refused)) this.#second = refused.bind;
  }

  /** There was one since the last {@link take} or {@link forget}. */
  get isAny(): boolean {
    return this.#first !== null;
  }

  /** Returns that of the server for which a hold must end now; null: none. */
  take(nowMs: number): RefusedBind | null {
    const isOld = this.#first !== null && nowMs - this.#first.atMs >= TEST_MS;
    const due = this.#second ?? (isOld ? this.#first?.bind : null) ?? null;
    if (due) this.forget();
    return due;
  }

  /** A server listens: those before it are of no account. */
  forget(): void {
    this.#first = null;
    this.#second = null;
  }

  /** Stops watching. */
  [Symbol.dispose](): void {
    this.#stop();
    this.#stop = () => {};
    this.#again = null;
    this.forget();
  }
}

function isAnotherTry(first: Refused, { bind, atMs }: Refused): boolean {
  return bind.pid !== first.bind.pid || atMs - first.atMs >= TRY_MS;
}
