/**
 * `rights_main.js PID`: makes each of the calls for which the product has a capability; prints the
 * names of those that are permitted. PID: a process of another user.
 */
import { openSync } from "node:fs";
import { BpfObject } from "../../loader/bpf/object.ts";
import { addressBytes } from "../../loader/core/address.ts";
import { PermissionError, VerifierError } from "../../loader/errors.ts";
import { requireShapes } from "../../loader/group/pins.ts";
import { borrow } from "../../loader/lender/lender.ts";
import { Observer } from "../../loader/observe/observer.ts";
import * as libc from "../../loader/sys/libc.ts";

const pid = Number(process.argv[2]);
const tcp = () => libc.socket(libc.AF_INET, libc.SOCK_STREAM, 0);

const CALLS: Readonly<Record<string, () => void>> = {
  "read listeners": () => {
    using observer = new Observer();
    observer.read();
  },
  "load the program of a group": () => {
    using object = new BpfObject("select");
    requireShapes(object, 64);
    object.load();
  },
  "load the programs of an adoption": () => {
    using object = new BpfObject("adopt");
    object.load();
  },
  "borrow a descriptor": () => {
    const owners = [{ pid, fd: 0, comm: "sleep", startMs: 0 }];
    borrow({ cookie: 1n, owners }, [{ kind: "shutdown" }]); // it is no listener: nothing is done
  },
  "listen on port 81": () =>
    libc.bind(tcp(), libc.sockaddr(libc.AF_INET, addressBytes("ipv4", "127.0.0.1"), 81)),
  "give a socket to another user": () => libc.fchown(tcp(), 65534),
  "signal a process of another user": () => {
    process.kill(pid, 0);
  },
  "enter a network namespace": () => libc.setns(openSync("/proc/self/ns/net", "r")),
};

const permitted: string[] = [];
for (const [name, call] of Object.entries(CALLS)) {
  try {
    call();
    permitted.push(name);
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    // The verifier permits less to a process without CAP_PERFMON.
    const isRefused = error instanceof PermissionError || error instanceof VerifierError;
    if (!isRefused && code !== "EPERM" && code !== "EACCES") throw error;
  }
}
process.stdout.write(`${JSON.stringify(permitted)}\n`, () => process.exit(0));
