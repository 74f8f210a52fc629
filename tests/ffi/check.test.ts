/** The error boundary and the argument guards in front of native code. */
import assert from "node:assert/strict";
import { openSync } from "node:fs";
import { test } from "node:test";
import { BpfMap } from "../../loader/bpf/map.ts";
import { SysError } from "../../loader/errors.ts";
import { checkPtr, checkRet } from "../../loader/sys/check.ts";
import * as guard from "../../loader/sys/guard.ts";
import * as libc from "../../loader/sys/libc.ts";

const failure = (code: string, errno: number, syscall: string) => (error: unknown) => {
  assert.ok(error instanceof SysError);
  assert.deepEqual([error.code, error.errno, error.syscall], [code, errno, syscall]);
  return true;
};

test("libc's errno becomes a code, independent of earlier calls", () => {
  assert.throws(() => libc.close(0x7fffffff), failure("EBADF", 9, "close"));
  assert.throws(() => libc.pidfd_open(0x3fffff), failure("ESRCH", 3, "pidfd_open"));
  const fd = openSync("/dev/null", "r");
  assert.throws(() => libc.getsockopt(fd, 1, 57, 8), failure("ENOTSOCK", 88, "getsockopt"));
  libc.close(fd);
});

test("libbpf's negative returns and NULLs become codes, also those Node does not name", () => {
  assert.equal(checkRet("x", 3), 3);
  assert.throws(() => checkRet("x", -2), failure("ENOENT", 2, "x"));
  assert.throws(() => checkRet("x", -524), failure("ENOTSUPP", 524, "x"));
  assert.throws(() => checkRet("x", -4007), failure("LIBBPF_ERRNO__VERIFY", 4007, "x"));
  assert.throws(() => checkRet("x", -3999), failure("E3999", 3999, "x"));
  assert.equal(checkPtr("x", 1n), 1n);
  assert.throws(() => checkPtr("x", null), SysError);
});

test("numbers that C would truncate are refused", () => {
  for (const bad of [-1, 1.5, Number.NaN, 2 ** 31, 2 ** 40 + 3]) {
    assert.throws(() => guard.fd(bad), RangeError, String(bad));
    assert.throws(() => libc.close(bad), RangeError, String(bad));
  }
  assert.throws(() => guard.uint32("x", 2 ** 32), RangeError);
  assert.throws(() => guard.port(0), RangeError);
  assert.throws(() => guard.pid(0), RangeError);
  assert.throws(() => guard.buffer("x", Buffer.alloc(3), 4), /needs 4 bytes, not 3/);
});

test("an fd that is no map is an error with a code, not a crash", () => {
  const fd = openSync("/dev/null", "r");
  assert.throws(() => new BpfMap(fd), SysError);
  assert.throws(() => libc.close(fd), /EBADF/, "it owned the fd");
});
