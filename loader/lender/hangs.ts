/** Warnings about processes in which a call on a listener hangs. */

export interface Hang {
  /** The warning's subject: whose process it is. */
  readonly about: string;
  readonly text: string;
}

type Report = (hang: Hang) => void;

const reports = new Set<Report>();
let other: Report = () => {};

/** Calls `report` for each process that hangs, until the returned function is called. */
export function watchHangs(report: Report): () => void {
  reports.add(report);
  return () => reports.delete(report);
}

/** Sets what is called while nothing else is: for commands without a sidecar. */
export function reportOtherHangs(report: Report): void {
  other = report;
}

export function reportHang(hang: Hang): void {
  if (reports.size === 0) other(hang);
  for (const report of reports) report(hang);
}
