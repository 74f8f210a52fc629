/** A program on a cgroup that excludes other programs there and below it (no BPF_F_ALLOW_MULTI). */
import { closeSync, openSync } from "node:fs";
import { BpfObject } from "../../loader/bpf/object.ts";
import { checkRet } from "../../loader/sys/check.ts";
import { libbpf } from "../../loader/sys/libbpf_so.ts";

const BPF_CGROUP_INET4_BIND = 8; // uapi/linux/bpf.h

const attach = libbpf.func(
  "int bpf_prog_attach(int prog_fd, int attachable_fd, int type, unsigned int flags)",
) as (program: number, cgroup: number, type: number, flags: number) => number;
const detach = libbpf.func("int bpf_prog_detach(int attachable_fd, int type)") as (
  cgroup: number,
  type: number,
) => number;

/** Attaches the program; returns a function that detaches it. */
export function attachExclusive(cgroup: string): () => void {
  using object = new BpfObject("adopt");
  object.load();
  const fd = openSync(cgroup, "r");
  const program = object.programFd("bind4");
  checkRet("bpf_prog_attach", attach(program, fd, BPF_CGROUP_INET4_BIND, 0));
  return () => {
    checkRet("bpf_prog_detach", detach(fd, BPF_CGROUP_INET4_BIND));
    closeSync(fd);
  };
}
