/**
 * Types of the library, as its users meet them: this file must compile, and each line below
 * `@ts-expect-error` must not. tests/install/package.test.ts compiles it against the npm package.
 */
import {
  type Attachment,
  type AttachOptions,
  attach,
  type Duration,
  type ListenerReport,
  type StatusReport,
  status,
  UsageError,
} from "reuseport-migrate";
import { FdStore } from "reuseport-migrate/store";

export async function valid(): Promise<void> {
  const hold: Duration = "1.5s";
  const options: AttachOptions = {
    hold,
    holdMax: 100,
    migrate: "any",
    log: ({ level, text }) => console.error(level satisfies "info" | "warn" | "error", text),
  };
  await using guard: Attachment = await attach([":80", "[::]:80"], options);
  const report: StatusReport = await guard.status();
  const listeners: readonly ListenerReport[] = report.groups.flatMap((group) => group.listeners);
  const queued: number = listeners.reduce((sum, { queue_length }) => sum + queue_length, 0);
  const same: StatusReport = await status({ specs: ":80" });
  console.log(queued, same.groups[0]?.hold?.left_ms, new UsageError("x").message, FdStore.name);
  await guard.close({ keep: true });
}

export async function invalid(guard: Attachment): Promise<void> {
  // @ts-expect-error a number has no unit
  await attach(":80", { hold: 10 });
  // @ts-expect-error no such unit
  await attach(":80", { hold: "10d" });
  // @ts-expect-error no such option
  await attach(":80", { holdd: "10s" });
  // @ts-expect-error no such policy
  await attach(":80", { migrate: "newst" });
  // @ts-expect-error a SPEC is text
  await attach(443);
  // @ts-expect-error it is a promise
  status().groups;
  // @ts-expect-error close() takes options
  await guard.close(true);
  const [group] = (await status()).groups;
  // @ts-expect-error a report cannot be changed
  if (group) group.port = 1;
}
