/** Passes that find the state locked: that a command or another sidecar is at work is worth a word only when it lasts. */
import { LockedError } from "../errors.ts";

/** So many passes in a row may find the state locked before it is said. */
const LOCKED_OUT = 50;

export class Patience {
  #lockedOut = 0;

  /** Makes a pass; when the state is locked asks for another one soon, and throws only when that lasts. */
  pass(make: () => void, again: () => void): void {
    try {
      make();
      this.#lockedOut = 0;
    } catch (error) {
      if (!(error instanceof LockedError) || ++this.#lockedOut > LOCKED_OUT) throw error;
      again();
    }
  }
}
