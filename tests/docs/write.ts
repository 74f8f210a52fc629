/** `make docs`: writes docs/COMMANDS.md. */
import { writeFileSync } from "node:fs";
import { commandsDoc } from "./commands.ts";

writeFileSync(new URL("../../../docs/COMMANDS.md", import.meta.url), await commandsDoc());
