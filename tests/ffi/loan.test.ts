/** The two sides of the lender's messages: loader/lender/loan.ts against lender.h, compiled. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { LOAN_DATA, LOAN_KINDS, LOAN_LAYOUT, LOAN_OPERATIONS } from "../../loader/lender/loan.ts";
import { evaluate, headerPath } from "../helpers/host/c_header.ts";

const HEADER = "loader/lender/lender.h";
const text = readFileSync(headerPath(HEADER), "utf8");

test("structs and numbers are the same in C and in TypeScript", () => {
  const expected: Record<string, number> = {
    RM_LOAN_OPERATIONS: LOAN_OPERATIONS,
    RM_LOAN_DATA: LOAN_DATA,
  };
  for (const [i, kind] of LOAN_KINDS.entries()) expected[`RM_LOAN_${kind.toUpperCase()}`] = i;
  for (const [name, { size, members }] of Object.entries(LOAN_LAYOUT)) {
    expected[`sizeof(struct ${name})`] = size;
    for (const [member, offset] of Object.entries(members)) {
      expected[`offsetof(struct ${name}, ${member})`] = offset;
    }
  }
  assert.deepEqual(evaluate(HEADER, Object.keys(expected)), expected);
});

test("nothing of the header is without a twin", () => {
  const structs = [...text.matchAll(/^struct (rm_\w+) \{/gm)].map(([, name]) => name);
  assert.deepEqual(structs.toSorted(), Object.keys(LOAN_LAYOUT).toSorted());
  const kinds = /enum rm_loan_kind \{([^}]*)\}/.exec(text)?.[1] ?? "";
  assert.equal([...kinds.matchAll(/^\tRM_LOAN_\w+/gm)].length, LOAN_KINDS.length);
});
