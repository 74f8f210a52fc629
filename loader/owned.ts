/** Ownership of file descriptors and other resources; DisposableStack is in Node 24. */
import { closeSync, openSync } from "node:fs";

/**
 * What a function has opened: `using own = new Owned()` closes all of it, last first, unless the
 * function moves it to its caller or its object. So nothing stays open if it throws halfway.
 */
export class Owned implements Disposable {
  #steps: (() => void)[] = [];

  /** Runs `step` at the end. */
  defer(step: () => void): void {
    this.#steps.push(step);
  }

  /** Owns a resource; null is none. */
  use<T extends Disposable | null>(resource: T): T {
    if (resource !== null) this.defer(() => resource[Symbol.dispose]());
    return resource;
  }

  /** Owns a file descriptor; null is none. */
  fd<T extends number | null>(fd: T): T {
    if (fd !== null) this.defer(() => closeSync(fd));
    return fd;
  }

  /** Owns file descriptors. */
  fds<T extends readonly number[]>(fds: T): T {
    for (const fd of fds) this.fd(fd);
    return fds;
  }

  /** Owns nothing any longer: the caller gets everything with this result. */
  release<T>(result: T): T {
    this.#steps = [];
    return result;
  }

  /** Returns the new owner of everything, which throws the first error of its steps. */
  move(): Disposable {
    const steps = this.#steps;
    this.#steps = [];
    return { [Symbol.dispose]: () => throwFirst(runAll(steps)) };
  }

  /** Hides errors: that of the function says why. */
  [Symbol.dispose](): void {
    runAll(this.#steps);
  }
}

/** Runs the steps, last first, each once; returns their errors. */
function runAll(steps: (() => void)[]): unknown[] {
  const errors: unknown[] = [];
  for (const step of steps.splice(0).reverse()) {
    try {
      step();
    } catch (error) {
      errors.push(error);
    }
  }
  return errors;
}

function throwFirst(errors: readonly unknown[]): void {
  if (errors.length > 0) throw errors[0];
}

/**
 * Requires that this process can open `count` further descriptors. For libraries that leave some
 * open, or hide the reason, when they find none.
 * @throws EMFILE or ENFILE, as Node's error
 */
export function requireFreeFds(count: number): void {
  using own = new Owned();
  for (let i = 0; i < count; i++) own.fd(openSync("/", "r"));
}
