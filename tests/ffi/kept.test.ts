/** The two sides of the keeper's messages: loader/keeper/kept.ts against keeper.h, compiled. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { KEEP_KINDS, KEEP_REQUEST, KEEPER_COMM } from "../../loader/keeper/kept.ts";
import { evaluate } from "../helpers/host/c_header.ts";

test("struct, numbers and name are the same in C and in TypeScript", () => {
  const expected: Record<string, number> = {
    "sizeof(struct rm_keep_request)": KEEP_REQUEST.size,
    "sizeof(RM_KEEPER_COMM)": KEEPER_COMM.length + 1,
    RM_KEEP: KEEP_KINDS.indexOf("keep"),
    RM_KEEP_DROP: KEEP_KINDS.indexOf("drop"),
  };
  for (const [member, offset] of Object.entries(KEEP_REQUEST.members)) {
    expected[`offsetof(struct rm_keep_request, ${member})`] = offset;
  }
  assert.deepEqual(evaluate("loader/keeper/keeper.h", Object.keys(expected)), expected);
});
