/** The process behind `probeWakeupApart`: says what it found, and ends with whoever asked. */
import { probeWakeup } from "./wakeup.ts";

process.on("disconnect", () => process.exit());
const found = await probeWakeup();
process.send?.(found, () => process.exit());
