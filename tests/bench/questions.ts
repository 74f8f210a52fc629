/** All questions, in the order of their numbers; loaded one at a time, for each is a process of its own. */
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
