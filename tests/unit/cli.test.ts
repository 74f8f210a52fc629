import assert from "node:assert/strict";
import { release } from "node:os";
import { test } from "node:test";
import type { Env } from "../../cli/env.ts";
import { main } from "../../cli/main.ts";
import { parseMetricsAddress } from "../../cli/options/metrics_address.ts";
import { ABI_VERSION } from "../../loader/core/abi.ts";
import { STORE_LIMITS } from "../../loader/index.ts";

const run = (...argv: string[]) => runWith({}, ...argv);

async function runWith(vars: Env["vars"], ...argv: string[]) {
  const out = { stdout: "", stderr: "" };
  const code = await main(
    {
      stdout: { write: (text) => (out.stdout += text) },
      stderr: { write: (text) => (out.stderr += text) },
      vars,
      terminal: false,
      stop: new AbortController().signal,
      unread: new AbortController().signal,
      onSignals: () => () => {},
    },
    argv,
  );
  return { code, ...out };
}

for (const command of [
  "attach",
  "exec",
  "run",
  "check",
  "policy",
  "drain",
  "undrain",
  "release",
  "status",
  "detach",
  "metrics",
]) {
  test(`${command} --help has a real example`, async () => {
    const { code, stdout } = await run(command, "--help");
    assert.equal(code, 0);
    assert.match(stdout, new RegExp(`reuseport-migrate ${command} .*`));
    assert.match(stdout, /Examples:/);
  });
}

for (const verb of ["", "put", "take", "list", "drop", "exec"]) {
  test(`store ${verb} --help has a real example`, async () => {
    const { code, stdout } = await run(...["store", verb].filter(Boolean), "--help");
    assert.equal(code, 0);
    assert.match(stdout, /Examples:/);
    assert.match(stdout, new RegExp(`reuseport-migrate store ${verb}.*\\.sock`));
  });
}

test("store --help states the loader's own limits", async () => {
  const { stdout } = await run("store", "--help");
  for (const [name, value] of Object.entries(STORE_LIMITS)) {
    assert.match(stdout, new RegExp(`--max-${name} N [^-]*\\(default: ${value}\\)`));
  }
});

test("--help lists every command and every exit code", async () => {
  const { code, stdout } = await run("--help");
  assert.equal(code, 0);
  for (const word of [
    "attach",
    "exec",
    "check",
    "run",
    "policy",
    "drain",
    "undrain",
    "release",
    "status",
    "detach",
    "metrics",
    "completion",
    "conflict",
    "not permitted",
  ]) {
    assert.match(stdout, new RegExp(word));
  }
});

test("check --help says what its exit codes are", async () => {
  const { stdout } = await run("check", "--help");
  assert.match(stdout, /0 fit, also with warnings; 1 not fit; with --strict, 1 for\s+warnings too/);
});

test("attach --help states the risk of --adopt", async () => {
  const { stdout } = await run("attach", "--help");
  assert.match(stdout, /started by mistake/);
  assert.match(stdout, /--adopt --unit app/);
});

for (const argv of [["--version"], ["-V"], ["version"], ["attach", "-V"]]) {
  test(`'${argv.join(" ")}' prints the versions that a report needs`, async () => {
    const { code, stdout } = await run(...argv);
    assert.equal(code, 0);
    const lines = stdout.split("\n");
    assert.match(lines[0] ?? "", /^reuseport-migrate \d+\.\d+\.\d+$/);
    assert.ok(lines.includes(`ABI of the pins: ${ABI_VERSION}`));
    assert.ok(lines.some((line) => line.startsWith(`kernel: Linux ${release()}`)));
    assert.match(stdout, /^libbpf: \d+\.\d+$|^libbpf: none/m);
  });
}

test("-h, --help and help say the same of a command, and of the program", async () => {
  for (const words of [[], ["attach"], ["store"], ["store", "put"]]) {
    const texts = await Promise.all([
      run(...words, "--help"),
      run(...words, "-h"),
      run("help", ...words),
      run(...words, ":80", "--json", "--help").then((it) => (words.length > 0 ? it : null)),
    ]);
    const [first] = texts;
    assert.match(first.stdout, new RegExp(`^Usage: ${["reuseport-migrate", ...words].join(" ")} `));
    for (const it of texts) if (it) assert.deepEqual(it, first);
  }
});

test("help of a command that does not exist is refused, with the one that was meant", async () => {
  for (const argv of [
    ["help", "atach"],
    ["atach", "--help"],
  ]) {
    const { code, stdout, stderr } = await run(...argv);
    assert.deepEqual([code, stdout], [2, ""]);
    assert.match(stderr, /unknown command 'atach': did you mean 'attach'\?/);
  }
});

test("what follows -- is for the command, --help and --version too", async () => {
  const { code, stderr } = await run("exec", "localhost", "--", "true", "--help", "-V");
  assert.equal(code, 2);
  assert.match(stderr, /is not a SPEC/);
});

test("help is as wide as COLUMNS says, and 80 columns wide if it does not", async () => {
  const widest = async (vars: Env["vars"]) => {
    const { stdout } = await runWith(vars, "attach", "--help");
    return Math.max(...stdout.split("\n").map((line) => line.length));
  };
  assert.ok((await widest({})) <= 80);
  assert.ok((await widest({ COLUMNS: "60" })) < 80);
  const wide = await widest({ COLUMNS: "200" });
  assert.ok(wide > 80 && wide <= 100, `${wide}`);
});

test("the language is English, whatever the locale says", async () => {
  // yargs reads the locale of this process.
  const { LC_ALL } = process.env;
  process.env["LC_ALL"] = "de_DE.UTF-8";
  try {
    const { stderr } = await run("attach", ":443", "--foo");
    assert.match(stderr, /^reuseport-migrate: unknown option --foo\n/);
    const missing = await run("store", "put", "3");
    assert.match(missing.stderr, /--store and --name are missing/);
  } finally {
    if (LC_ALL === undefined) delete process.env["LC_ALL"];
    else process.env["LC_ALL"] = LC_ALL;
  }
});

test("help is offered where it helps, of the command that was meant", async () => {
  const offered = async (...argv: string[]) => {
    const { code, stderr } = await run(...argv);
    assert.equal(code, 2, stderr);
    return /^Try '(.*)'\.$/m.exec(stderr)?.[1] ?? null;
  };
  assert.equal(await offered("atach"), "reuseport-migrate --help");
  assert.equal(await offered("run", "--max-lst", "1"), "reuseport-migrate run --help");
  assert.equal(await offered("store", "put", "3"), "reuseport-migrate store put --help");
  assert.equal(await offered("store", "--mode", "x"), "reuseport-migrate store --help");
  for (const argv of [
    ["attach", ":443", "--pid", "4194000"],
    ["attach", ":443", "--netns", "/etc/passwd"],
    ["attach", ":443", "--cgroup", "/no/such"],
    ["attach", ":443", "--unit", "app.socket"],
    ["attach", "--config", "/no/such.yaml"],
    ["store", "--listen", "/no/such/s"],
    ["store", "--listen", "/s", "--systemd"],
  ]) {
    assert.equal(await offered(...argv), null, argv.join(" "));
  }
});

const wrong: [argv: string[], says: RegExp][] = [
  [[], /name a command/],
  [["atach", ":443"], /unknown command 'atach': did you mean 'attach'\?/],
  [["nonsense"], /unknown command 'nonsense'\n/],
  [["attach"], /a SPEC is missing/],
  [["attach", "localhost:443"], /names are not looked up/],
  [["attach", ":443", "--rout", "newest"], /unknown option --rout: did you mean --route\?/],
  [
    ["attach", ":443", "--route", "newst"],
    /--route must be kernel or newest, not 'newst': did you mean 'newest'\?/,
  ],
  [["attach", ":443", "--metric", "off"], /unknown option --metric: did you mean --metrics\?/],
  [["attach", ":*", "--adopt", "--cgroup", "/a"], /--adopt requires a port: ':\*' names none/],
  [["attach", ":*", "--except", ""], /--except requires a SPEC, such as :22/],
  [["attach", ":*", "--except", ":22,ssh"], /'ssh' is not a SPEC/],
  [["exec", ":*", "--", "true"], /':\*' names no port/],
  [["attach", ":443", "--no-metrics"], /unknown option --no-metrics\n/],
  [["attach", ":443", "--keep=maybe"], /--keep is on or absent: write --keep, not --keep=maybe\n/],
  [["store", "put", "3", "--add=1"], /--add is on or absent: write --add, not --add=1\n/],
  [["attach", ":443", "-x"], /unknown option -x\n/],
  [["attach", ":443", "--hel"], /unknown option --hel: did you mean --help\?/],
  [["attach", ":443", "--migrate"], /--migrate requires a value/],
  [["attach", ":443", ":443"], /:443 is given twice/],
  [["attach", ":443", "--once", "--wait"], /exclude each other/],
  [["attach", ":443", "--metrics", "http"], /--metrics 'http'/],
  [["attach", ":443", "--metrics", "off", "--metrics", "9"], /--metrics is given more than once/],
  [["attach", ":443", "--pid", "x"], /--pid must be a number/],
  [["attach", ":443", "--pid", "4194000"], /--pid 4194000: no such process/],
  [["attach", ":443", "--netns", "/etc/passwd"], /is not a network namespace/],
  [["attach", ":443", "--cgroup", "/no/such"], /cgroup '\/no\/such' does not exist/],
  [["exec"], /a SPEC is missing/],
  [["exec", ":443"], /requires a command after '--'/],
  [["exec", ":443", "--"], /requires a command after '--'/],
  [["exec", ":443", "node", "server.js"], /requires a command after '--'/],
  [["exec", "localhost:443", "--", "true"], /names are not looked up/],
  [["attach", ":443", "--", "nginx"], /attach runs no command after '--': did you mean 'exec'/],
  [["status", "--", "nginx"], /status runs no command after '--'/],
  [
    ["store", "put", "--store", "/s", "--name", "a", "3", "--", "true"],
    /store put runs no command/,
  ],
  [["exec", ":443", "--keep", "--", "true"], /unknown option --keep\n/],
  [["exec", ":443", "--drain", "5", "--", "true"], /--drain must be a duration/],
  [["exec", ":443", "--start-timeout", "0", "--", "true"], /--start-timeout must be a duration/],
  [["exec", ":443", "--stop-timeout", "2d", "--", "true"], /--stop-timeout must be a duration/],
  [["exec", ":443", "--stop-signal", "TERM", "--", "true"], /such as SIGTERM or SIGQUIT/],
  [["exec", ":443", "--hold", "50ms", "--", "true"], /--hold must be a duration/],
  [["exec", ":443", "--hold-max", "0", "--", "true"], /--hold-max must be a number/],
  [["exec", ":443", "--metrics", "http", "--", "true"], /--metrics 'http'/],
  [["attach", ":443", "--cgroup", "/", "--unit", "app"], /--unit cannot be combined with --cgroup/],
  [["attach", ":443", "--unit", "a/b"], /unit a\/b: not a valid unit name/],
  [["attach", ":443", "--unit", "app.socket"], /unit app\.socket: not a service/],
  [["attach", ":443", "--unit", "app@"], /a template has no cgroup/],
  [["attach", ":443", "--unit", "a", "--unit", "b"], /--unit is given more than once/],
  [["attach", ":443", "--adopt"], /--adopt requires --cgroup PATH or --unit NAME/],
  [["attach", ":443", "--adopt", "--pid", "1"], /--adopt requires --cgroup PATH or --unit NAME/],
  [["attach", ":443", "--adopt", "--cgroup", "/no/such"], /parent .* does not exist/],
  [["attach", ":443", "--adopt", "--cgroup", "app"], /'app' is not a cgroup/],
  [["attach", ":443", "--adopt", "--cgroup", "/a/../b"], /is not a cgroup/],
  [["attach", ":443", "--adopt", "--cgroup", "/a//b"], /is not a cgroup/],
  [["attach", ":443", "--adopt", "--cgroup", `/${"a".repeat(256)}`], /is not a cgroup/],
  [["attach", ":443", "--adopt-max", "3"], /--adopt-max requires --adopt/],
  [
    ["attach", ":443", "--adopt", "--cgroup", "/a", "--adopt-max", "0"],
    /--adopt-max must be a number/,
  ],
  [
    ["attach", ":443", "--adopt", "--adopt-mx", "3", "--cgroup", "/"],
    /unknown option --adopt-mx: did you mean --adopt-max\?/,
  ],
  [["run"], /requires a command after '--'/],
  [["run", ":443"], /requires a command after '--'/],
  [["run", "true"], /'true' is not a SPEC|requires a command/],
  [["run", "localhost:443", "--", "true"], /names are not looked up/],
  [["run", "--max-lost", "-1", "--", "true"], /--max-lost|max-lost/],
  [["run", "--max-lost", "1%", "--", "true"], /--max-lost must be a number/],
  [["run", "--settle", "2", "--", "true"], /--settle must be a duration/],
  [["run", "--settle", "1h", "--", "true"], /--settle must be a duration from 0 to 10m/],
  [["run", "--hold", "1s", "--", "true"], /unknown option --hold\n/],
  [["status", "--interval", "1s"], /--interval requires --watch/],
  [["status", "--watch", "--interval", "10ms"], /--interval must be a duration from 100ms/],
  [["detach"], /requires a SPEC or --all/],
  [["detach", ":443", "--all"], /not both/],
  [["check", "localhost:443"], /names are not looked up/],
  [["check", "--jsn"], /unknown option --jsn: did you mean --json\?/],
  [["status", ":0"], /is not a SPEC/],
  [["status", "--al"], /unknown option --al\n/],
  [["metrics", "x"], /unknown argument 'x'/],
  [["attach", ":443", "--once", "--store", "/s"], /--once and --store exclude each other/],
  [["attach", ":443", "--store", ""], /--store requires the path of a new socket/],
  [["store"], /requires --listen PATH or a command/],
  [["store", "lst"], /unknown argument 'lst'/],
  [["store", "--listen", "/s", "--listen", "/t"], /--listen is given more than once/],
  [["store", "--listen", ""], /is not a path for a socket/],
  [["store", "--listen", `/${"x".repeat(107)}`], /at most 107 bytes, not 108/],
  [["store", "--listen", "/no/such/s"], /directory does not exist/],
  [["store", "--listen", "/s", "--timeout", "0"], /--timeout must be a duration from 1ms to 1h/],
  [["store", "--listen", "/s", "--timeout", "61m"], /--timeout must be a duration from 1ms to 1h/],
  [["store", "--listen", "/s", "--mode", "rw"], /--mode must be an octal mode such as 0600/],
  [["store", "--listen", "/s", "--mode", "07777"], /--mode must be an octal mode such as 0600/],
  [["store", "--listen", "/s", "--max-fds", "0"], /--max-fds must be a number from 1/],
  [["store", "--listen", "/s", "--max-fds", "x"], /--max-fds must be a number/],
  [["store", "--listen", "/s", "--systemd"], /NOTIFY_SOCKET is not set/],
  [["store", "--listen", "/s", "--metrics", "http"], /--metrics 'http'/],
  [["store", "--listen", "/s", "--name", "web"], /unknown option --name/],
  [["store", "put", "3", "--name", "a"], /--store is missing/],
  [["store", "put", "--store", "/s", "--name", "a"], /a file descriptor is missing/],
  [["store", "put", "x", "--store", "/s", "--name", "a"], /fd must be a number/],
  [["store", "put", "3", "--store", "/s", "--name", "a,b"], /takes one --name/],
  [["store", "list", "--store", "/s", "--listen", "/s"], /unknown option --listen/],
  [["store", "drop", "--store", "/s"], /a name is missing/],
  [["store", "take", "--store", "/s", "--name", "a"], /store take requires a command after '--'/],
  [["store", "exec", "--store", "/s", "--name", "a"], /store exec requires a command after '--'/],
  [["store", "exec", "--store", "/s", "--name", "a,a", "--", "true"], /--name a is given twice/],
  [["store", "exec", "--store", "/s", "--name", "a,", "--", "true"], /--name is empty/],
  [
    ["store", "exec", "--store", "/s", "--name", "a,b", "--tcp", ":80", "--", "true"],
    /--tcp is given 1 times for 2 names/,
  ],
  [
    ["store", "exec", "--store", "/s", "--name", "a", "--tcp", "localhost:80", "--", "true"],
    /names are not looked up/,
  ],
  [
    ["store", "exec", "--store", "/s", "--name", "a", "--timeout", "2d", "--", "true"],
    /--timeout must/,
  ],
];

for (const [argv, says] of wrong) {
  test(`'${argv.join(" ")}' is refused in one sentence with exit code 2`, async () => {
    const { code, stdout, stderr } = await run(...argv);
    assert.equal(code, 2, stderr);
    assert.equal(stdout, "");
    assert.match(stderr, says);
    const [, hint, ...more] = stderr.trim().split("\n");
    assert.match(hint ?? "Try ", /^Try /, stderr);
    assert.deepEqual(more, [], stderr);
  });
}

test("the metrics address is [ADDR:]PORT or off", () => {
  assert.equal(parseMetricsAddress("off"), null);
  assert.deepEqual(parseMetricsAddress("9100"), { host: "127.0.0.1", port: 9100 });
  assert.deepEqual(parseMetricsAddress("0.0.0.0:1"), { host: "0.0.0.0", port: 1 });
  assert.deepEqual(parseMetricsAddress("[::1]:1"), { host: "::1", port: 1 });
  for (const bad of ["", ":9100", "x:1", "1.2.3.4:", "70000", "1.2.3.4"]) {
    assert.throws(() => parseMetricsAddress(bad), /--metrics/, bad);
  }
});
