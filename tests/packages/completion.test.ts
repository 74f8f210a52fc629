/** A Tab in bash, zsh and fish: what it inserts, and that it starts neither Node nor the command. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { TempDir } from "../helpers/host/child.ts";
import { ROOT } from "../install/installed.ts";

const SCRIPTS = join(ROOT, "dist/share/completions");

/** Completes a line with the scripts `[shell]` of a directory with one file, `services.yaml`. */
type Complete = (line: string, dir: string) => string[];

const words = (text: string): string[] =>
  text
    .split("\n")
    .map((line) => line.split("\t")[0]?.trim() ?? "")
    .filter((word) => word !== "")
    .sort();

/** Runs a shell with systemctl, node and reuseport-migrate that write down that they are started. */
function inShell(shell: string, args: readonly string[], dir: string): string {
  const bin = join(dir, "bin");
  const path = `${bin}:/usr/bin:/bin`;
  return execFileSync(shell, args, {
    cwd: join(dir, "here"),
    env: { PATH: path, HOME: dir },
    encoding: "utf8",
  });
}

/** Bash splits a line at the characters of COMP_WORDBREAKS, too. */
const bash: Complete = (line, dir) => {
  const parts: string[] = line.match(/[:=]+|[^\s:=]+/g) ?? [];
  if (line.endsWith(" ")) parts.push("");
  const quoted = parts.map((part) => `'${part}'`).join(" ");
  const script = `source ${SCRIPTS}/bash; compopt() { :; }
    COMP_WORDS=(${quoted}); COMP_CWORD=${parts.length - 1}
    _reuseport_migrate; printf '%s\\n' "\${COMPREPLY[@]}"`;
  return words(inShell("bash", ["--norc", "-c", script], dir));
};

const fish: Complete = (line, dir) =>
  words(
    inShell("fish", ["--no-config", "-c", `source ${SCRIPTS}/fish; complete -C '${line}'`], dir),
  ).map((word) => word.replace(/^--\w[\w-]*=/, ""));

/** A zsh in a terminal, whose list of matches is written by compadd instead of shown. */
const zsh: Complete = (line, dir) => {
  writeFileSync(
    join(dir, "zshrc"),
    `PROMPT=; fpath=(${dir}/fpath $fpath); autoload -Uz compinit; compinit -u -d ${dir}/dump
    compadd () {
      [[ \${@[1,(i)(-|--)]} == *-(O|A|D)\\ * ]] && { builtin compadd "$@"; return }
      local -a __hits; builtin compadd -A __hits "$@"; (( $#__hits )) && print -l -- $__hits >>${dir}/hits
    }
    done_now () { print >>${dir}/over }
    zle -C tab complete-word _main_complete; bindkey '^I' tab
    zle -N done_now; bindkey '^X' done_now`,
  );
  const script = `zmodload zsh/zpty; rm -f ${dir}/hits ${dir}/over; : >${dir}/hits
    zpty z "HOME=${dir} zsh -f -i"; zpty -w z "source ${dir}/zshrc"; zpty -n -w z ${JSON.stringify(line)}$'\\t'$'\\x18'
    for i in {1..400}; do zpty -r -t z out >/dev/null; [[ -e ${dir}/over ]] && break; sleep 0.05; done
    zpty -d z; [[ -e ${dir}/over ]] && cat ${dir}/hits`;
  return words(inShell("zsh", ["-f", "-c", script], dir));
};

/** Makes a directory with one file and with programs that say when they are started. */
function directory(dir: TempDir): string {
  mkdirSync(dir.file("bin"));
  mkdirSync(dir.file("here"));
  mkdirSync(dir.file("fpath"));
  writeFileSync(dir.file("here/services.yaml"), "");
  execFileSync("cp", [join(SCRIPTS, "zsh"), dir.file("fpath/_reuseport-migrate")]);
  for (const name of ["node", "reuseport-migrate"]) {
    writeFileSync(
      dir.file(`bin/${name}`),
      `#!/bin/sh\necho ${name} was started >${dir.path}/started\n`,
    );
    chmodSync(dir.file(`bin/${name}`), 0o755);
  }
  const unit = "nginx.service loaded active running web\\nssh.service loaded active running shell";
  writeFileSync(dir.file("bin/systemctl"), `#!/bin/sh\nprintf '${unit}\\n'\n`);
  chmodSync(dir.file("bin/systemctl"), 0o755);
  return dir.path;
}

const NAME = "reuseport-migrate";
/** Lines, and what a Tab at their end may insert. */
const CASES: readonly (readonly [string, readonly string[]])[] = [
  [`${NAME} st`, ["status", "store"]],
  [`${NAME} comp`, ["completion"]],
  [`${NAME} completion `, ["bash", "fish", "zsh"]],
  [`${NAME} store d`, ["drop"]],
  [`${NAME} store put --fr`, []],
  [`${NAME} attach --mig`, ["--migrate"]],
  [`${NAME} attach --migrate `, ["any", "newest", "observe", "off"]],
  [`${NAME} attach --migrate ne`, ["newest"]],
  [`${NAME} attach :443 --config `, ["services.yaml"]],
  [`${NAME} attach --unit `, ["nginx", "ssh"]],
  // No rubbish: what only the user knows is left to the user.
  [`${NAME} attach `, []],
  [`${NAME} attach --pid `, []],
  [`${NAME} attach --hold `, []],
  [`${NAME} detach `, []],
  // The command line of another program.
  [`${NAME} exec :8080 -- reuseport-mig`, ["reuseport-migrate"]],
  [`${NAME} status -- `, []],
];

for (const [shell, complete] of Object.entries({ bash, zsh, fish })) {
  describe(shell, () => {
    const temporary = new TempDir();
    const dir = directory(temporary);
    after(() => temporary[Symbol.dispose]());
    for (const [line, expected] of CASES) {
      test(`${line.replace(NAME, "")}<Tab>`, () => {
        assert.deepEqual(complete(line, dir), expected);
        assert.equal(existsSync(join(dir, "started")), false, "a Tab started a program");
      });
    }
  });
}

test("bash: --migrate=n<Tab>, which bash splits at '='", () => {
  using dir = new TempDir();
  assert.deepEqual(bash(`${NAME} attach --migrate=n`, directory(dir)), ["newest"]);
});
