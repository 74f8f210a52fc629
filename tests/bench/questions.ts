/** All questions, by number; each is loaded in its own process. */
export const QUESTIONS = [
  "syn_kernel",
  "syn_select",
  "syn_selftest",
  "migrate_decision",
  "connections",
  "latency",
  "close_queue",
  "reload_latency",
  "new_listener",
  "hooks",
  "reconcile",
  "scrape",
  "start",
  "rest",
  "memory",
  "held",
] as const;
