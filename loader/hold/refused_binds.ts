/** Binds that fail because of a group's standby, from one step of its hold to the next. */
import type { GroupKey } from "../core/listener.ts";
import { isExhausted } from "../errors.ts";
import { message } from "../log.ts";
import { type RefusedBind, watchBinds } from "../observe/standby_binds.ts";
import { boottimeMs } from "../sys/libc.ts";

/** A bind that failed this long ago, ms, is no reason to end a hold. */
const RECENT_MS = 1_000;

export class RefusedBinds implements Disposable {
  readonly #arrived: () => void;
  #stop: () => void = () => {};
  #last: { readonly bind: RefusedBind; readonly atMs: number } | null = null;
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
        this.#last = { bind, atMs: boottimeMs() };
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

  /** There was one since the last {@link take}. */
  get isAny(): boolean {
    return this.#last !== null;
  }

  /** Returns the last one, if it was just now. */
  take(nowMs: number): RefusedBind | null {
    const last = this.#last;
    this.#last = null;
    return last && nowMs - last.atMs < RECENT_MS ? last.bind : null;
  }

  /** Stops watching. */
  [Symbol.dispose](): void {
    this.#stop();
    this.#stop = () => {};
    this.#again = null;
  }
}
