/** Compares passwords with bcrypt hashes in a thread, which ends when there is nothing to do. */
import { Worker } from "node:worker_threads";

const MAIN = new URL("./password_thread.js", import.meta.url);
/** The thread's heap, some 5 MB, is given back after this, ms. */
const IDLE_MS = 10_000;

export interface PasswordQuestion {
  readonly id: number;
  readonly password: string;
  readonly hash: string;
}

export interface PasswordAnswer {
  readonly id: number;
  readonly isRight: boolean;
}

export class PasswordChecker {
  #thread: Worker | null = null;
  #idle: NodeJS.Timeout | undefined;
  #nextId = 0;
  readonly #asked = new Map<number, { resolve(isRight: boolean): void; reject(e: Error): void }>();

  /** @throws if the thread cannot be started, or ends */
  compare(password: string, hash: string): Promise<boolean> {
    clearTimeout(this.#idle);
    return new Promise((resolve, reject) => {
      const id = this.#nextId++;
      this.#asked.set(id, { resolve, reject });
      const question: PasswordQuestion = { id, password, hash };
      this.#started().postMessage(question);
    });
  }

  close(): void {
    clearTimeout(this.#idle);
    const thread = this.#thread;
    this.#thread = null;
    void thread?.terminate();
    for (const { reject } of this.#asked.values()) reject(new Error("closed"));
    this.#asked.clear();
  }

  #started(): Worker {
    if (this.#thread) return this.#thread;
    const limits = { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 4 };
    const thread = new Worker(MAIN, { resourceLimits: limits, stdout: false, stderr: false });
    thread.unref();
    thread.on("message", ({ id, isRight }: PasswordAnswer) => {
      this.#asked.get(id)?.resolve(isRight);
      this.#asked.delete(id);
      if (this.#asked.size === 0) this.#idle = setTimeout(() => this.close(), IDLE_MS).unref();
    });
    const ended = () => this.#thread === thread && this.close();
    thread.once("error", ended).once("exit", ended);
    this.#thread = thread;
    return thread;
  }
}
