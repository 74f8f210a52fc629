/** Which options belong together in `--help`, and what their values are called. Pure. */

/** Options by name, and the name of their value; null: they have none, or a list of choices. */
type Group = Readonly<Record<string, string | null>>;

/** Options of every command: one name has one meaning. */
export const OPTION_GROUPS: Readonly<Record<string, Group>> = {
  "Which listeners": {
    except: "SPECS",
    pid: "PID",
    listener: "COOKIE",
    generation: "N",
    cgroup: "PATH",
    unit: "NAME",
    netns: "NETNS",
    config: "FILE",
    all: null,
  },
  Policy: { migrate: null, route: null, settings: null, wake: null, replace: null },
  "SO_REUSEPORT for servers that do not set it": { adopt: null, "adopt-max": "N" },
  "Restart and stop": {
    restart: null,
    "start-timeout": "TIME",
    drain: "TIME",
    "stop-timeout": "TIME",
    "stop-signal": "SIGNAL",
  },
  Hold: { hold: "TIME", "hold-max": "N", "ready-check": "CHECK" },
  Lifecycle: {
    once: null,
    wait: null,
    keep: null,
    timeout: "TIME",
    settle: "TIME",
    advisory: null,
    install: null,
    force: null,
    stuck: null,
    yes: null,
    bpffs: "DIR",
  },
  "File descriptors": {
    store: "SOCKET",
    listen: "PATH",
    name: "NAME",
    tcp: "SPEC",
    mode: "MODE",
    shared: null,
    add: null,
    systemd: null,
  },
  Limits: {
    "max-groups": "N",
    "max-groups-per-user": "N",
    "max-names": "N",
    "max-fds": "N",
    "max-clients": "N",
    "max-lost": "N",
  },
  Output: {
    metrics: "[ADDR:]PORT",
    "web-config": "FILE",
    watch: null,
    follow: null,
    interval: "TIME",
    since: "TIME",
    html: "FILE",
    timeline: null,
    level: "LEVEL",
    event: "NAME",
    strict: null,
    "print-config": null,
    verbose: null,
    json: null,
  },
};

/** Returns the name of an option's value; undefined if it has none. */
export function valueName(option: string): string | undefined {
  return Object.values(OPTION_GROUPS).find((group) => option in group)?.[option] ?? undefined;
}
