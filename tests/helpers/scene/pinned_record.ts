/** Changes the pinned record of a group, as another version would have written it. */
import { BpfMap } from "../../../loader/bpf/map.ts";
import { obtain } from "../../../loader/bpf/pin.ts";
import { LAYOUT } from "../../../loader/core/abi.ts";

export function changeRecord(directory: string, change: (value: Buffer) => void): void {
  using group = new BpfMap(obtain(`${directory}/group`));
  const value = group.lookup(0) ?? Buffer.alloc(0);
  change(value);
  group.update(0, value);
}

/** Makes the pins those of another version. */
export function setAbi(directory: string, version: number): void {
  changeRecord(directory, (value) =>
    value.writeUInt32LE(version, LAYOUT.rm_group.members.abi_version),
  );
}
