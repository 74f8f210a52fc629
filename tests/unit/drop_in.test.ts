/** The drop-in of systemd-dropin, from the text of a unit. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { dropInText } from "../../cli/systemd/drop_in.ts";
import { reloadCommands } from "../../cli/systemd/unit_text.ts";

const OURS = "/etc/systemd/system/app.service.d/reuseport-migrate.conf";
const PROGRAM = "/usr/bin/reuseport-migrate";

const commands = (...lines: string[]) => reloadCommands(["[Service]", ...lines].join("\n"), OURS);
const dropIn = (lines: string[], specs: string[] = []) =>
  dropInText({ unit: "app.service", commands: commands(...lines), program: PROGRAM, specs })
    .split("\n")
    .filter((line) => /^[^#]/.test(line));

const cases: [what: string, lines: string[], commands: [prefix: string, line: string][]][] = [
  ["none", ["ExecStart=/bin/true"], []],
  [
    "quotes, variables and specifiers stay",
    [
      `ExecReload=/usr/sbin/nginx -g 'daemon on; master_process on;' -s "a \\" b" %i \${X} $MAINPID`,
    ],
    [["", `/usr/sbin/nginx -g 'daemon on; master_process on;' -s "a \\" b" %i \${X} $MAINPID`]],
  ],
  ["prefixes", ["ExecReload=-+/bin/a b"], [["-+", "/bin/a b"]]],
  ["spaces around =", ["ExecReload = /bin/a"], [["", "/bin/a"]]],
  [
    "several",
    ["ExecReload=/bin/a", "ExecReload=/bin/b"],
    [
      ["", "/bin/a"],
      ["", "/bin/b"],
    ],
  ],
  [
    "an empty value begins anew",
    ["ExecReload=/bin/a", "ExecReload=", "ExecReload=/bin/b"],
    [["", "/bin/b"]],
  ],
  [
    "several in a line",
    ["ExecReload=/bin/a ; -/bin/b ';' \\;"],
    [
      ["", "/bin/a"],
      ["-", "/bin/b ';' \\;"],
    ],
  ],
  [
    "a continued line, with a comment in it",
    ["ExecReload=/bin/a \\", "# no", "; no", "  b"],
    [["", "/bin/a b"]],
  ],
  ["another section", ["[Unit]", "ExecReload=/bin/a"], []],
  ["a comment", ["#ExecReload=/bin/a"], []],
  [
    "our own drop-in",
    ["ExecReload=/bin/a", `# ${OURS}`, "[Service]", "ExecReload=", "ExecReload=/bin/b"],
    [["", "/bin/a"]],
  ],
  [
    "another drop-in",
    ["ExecReload=/bin/a", "# /x.conf", "[Service]", "ExecReload=/bin/b"],
    [
      ["", "/bin/a"],
      ["", "/bin/b"],
    ],
  ],
];
for (const [what, lines, expected] of cases) {
  test(`the commands of ExecReload=: ${what}`, () => {
    assert.deepEqual(
      commands(...lines).map(({ prefix, line }) => [prefix, line]),
      expected,
    );
  });
}

test("only the last command is measured; prefixes and arguments stay", () => {
  const lines = ["ExecReload=/bin/check -c", "ExecReload=-/bin/kill -HUP $MAINPID"];
  assert.deepEqual(dropIn(lines, [":80", "[::]:%1"]), [
    "[Service]",
    "ExecReload=",
    "ExecReload=/bin/check -c",
    `ExecReload=-/bin/sh -c '[ -x "$$0" ] && exec "$$0" "$$@"; shift 5; exec "$$@"' ${PROGRAM} run --advisory :80 "[::]:%%1" -- /bin/kill -HUP $MAINPID`,
  ]);
  assert.match(
    dropIn(["ExecReload=:/bin/a $x"]).at(-1) ?? "",
    /^ExecReload=:\/bin\/sh -c '\[ -x "\$0" \]/,
  );
});

test("without this program the command itself runs", () => {
  const [, script = ""] = /-c '(.*?)'/.exec(dropIn(["ExecReload=:/bin/echo"]).at(-1) ?? "") ?? [];
  const shell = (program: string) =>
    execFileSync(
      "/bin/sh",
      ["-c", script, program, "run", "--advisory", "--", "echo", "a b", "c"],
      {
        encoding: "utf8",
      },
    );
  assert.equal(shell("/no/such/program"), "a b c\n");
  assert.equal(shell("/bin/echo"), "run --advisory -- echo a b c\n");
});

test("what it writes is not measured again", () => {
  const text = dropInText({
    unit: "app.service",
    commands: commands("ExecReload=/bin/a"),
    program: PROGRAM,
    specs: [],
  });
  const unit = `# /lib/systemd/system/app.service\n[Service]\nExecReload=/bin/a\n\n# ${OURS}\n${text}`;
  assert.deepEqual(reloadCommands(unit, OURS), [{ prefix: "", line: "/bin/a" }]);
});
