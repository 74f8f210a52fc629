/** `first_load_main.js FREE`: the first load of a process finds FREE descriptors, the next enough. */
import { makeUnpinned } from "../../../loader/group/pins.ts";
import { withFreeFds } from "./descriptors.ts";

async function load(): Promise<string | null> {
  try {
    using _pins = makeUnpinned(64);
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}

const first = await withFreeFds(Number(process.argv[2]), load);
process.stdout.write(JSON.stringify({ first, next: await load() }));
