/** A thread that compares passwords with bcrypt hashes, one after the other, at the lowest priority. */
import { setPriority } from "node:os";
import { parentPort } from "node:worker_threads";
import { compareSync } from "bcryptjs";
import type { PasswordAnswer, PasswordQuestion } from "./password_checker.ts";

setPriority(0, 19); // of this thread only (setpriority(2), "C library/kernel differences")

parentPort?.on("message", ({ id, password, hash }: PasswordQuestion) => {
  const answer: PasswordAnswer = { id, isRight: compareSync(password, hash) };
  parentPort?.postMessage(answer);
});
