/** Every bound libbpf function against the installed headers, if any are installed. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { libbpfVersion } from "../../loader/bpf/libbpf_version.ts";

const HEADERS = ["libbpf.h", "bpf.h", "btf.h", "libbpf_legacy.h"].map(
  (h) => `/usr/include/bpf/${h}`,
);
const source = readFileSync(
  fileURLToPath(new URL("../../../loader/sys/libbpf.ts", import.meta.url)),
  "utf8",
);
const bound = [...source.matchAll(/^export const (\w+) = lib\.func\("([^"]+)"\)/gm)];

/** Returns a prototype's types without names, qualifiers and `struct`; pointers by depth only. */
function shape(prototype: string): string {
  const [, result = "", name, parameters = ""] =
    /^(.*?)(\w+)\((.*)\)$/.exec(prototype.trim()) ?? [];
  const type = (text: string, named: boolean) => {
    const words = text.replaceAll(/\b(const|struct|enum|_Out_|_Inout_|LIBBPF_API)\b/g, " ");
    const stars = "*".repeat((words.match(/\*/g) ?? []).length);
    const names = words.replaceAll("*", " ").trim().split(/\s+/);
    const base = named && names.length > 1 ? names.slice(0, -1).join(" ") : names.join(" ");
    const plain = base.replaceAll("__u", "uint").replace(/^(uint\d+)$/, "$1_t");
    // Options that are never passed, and opaque callbacks, are void pointers here.
    const same = /_opts$|bpf_object_open_opts|ring_buffer_sample_fn/.test(plain) ? "void" : plain;
    return same === "void" && stars === "" && named && text.includes("sample")
      ? "void*"
      : same + stars;
  };
  const list = parameters.trim() === "void" ? [] : parameters.split(",").map((p) => type(p, true));
  return `${type(result, false)} ${name}(${list.join(",")})`;
}

test("libbpf is 1.x", () => {
  assert.match(libbpfVersion(), /^1\./);
});

test("the source has bindings to compare", () => {
  assert.ok(bound.length > 25, String(bound.length));
});

const present = HEADERS.filter(existsSync);
for (const [, name = "", prototype = ""] of bound) {
  test(`${name} is declared as in libbpf's header`, {
    skip: present.length === 0 ? "no headers" : false,
  }, () => {
    const text = present.map((file) => readFileSync(file, "utf8")).join("\n");
    const declared = new RegExp(`LIBBPF_API ([^;{}]*?\\b${name}\\([^;]*\\));`).exec(text)?.[1];
    assert.ok(declared, `${name} is not in ${present.join(", ")}`);
    assert.equal(shape(prototype), shape(declared.replaceAll(/\s+/g, " ")));
  });
}
