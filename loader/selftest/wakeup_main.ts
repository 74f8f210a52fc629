/** The child process of `probeWakeupApart`: sends its result, and ends with its parent. */
import { probeWakeup } from "./wakeup.ts";

process.on("disconnect", () => process.exit());
const found = await probeWakeup();
process.send?.(found, () => process.exit());
