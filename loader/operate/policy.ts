/** policy: another policy for groups that are attached; nothing is attached again, nobody is lost. */
import type { Migrate, Route, SettingsPolicy } from "../core/abi.ts";
import { endpoint } from "../core/listener.ts";
import type { Spec } from "../core/spec.ts";
import { ConflictError } from "../errors.ts";
import { applyChanged, withGroups } from "./pinned_groups.ts";

/** What is to change; the rest stays. */
export interface PolicyChange {
  readonly migrate?: Migrate;
  readonly route?: Route;
  readonly settings?: SettingsPolicy;
}

/** A group's policy as it is now. */
export interface ChangedPolicy {
  readonly group: string;
  readonly migrate: Migrate;
  readonly route: Route;
  readonly settings: SettingsPolicy;
}

/** Whether connections are moved under this policy; what is held could not be handed over else. */
export const migrates = (migrate: Migrate): boolean => migrate === "newest" || migrate === "any";

/** @throws NoMatchError, ConflictError when a group is held and would not migrate; then nothing is changed */
export function changePolicy(
  specs: readonly Spec[],
  change: PolicyChange,
  options: { readonly bpffs?: string } = {},
): ChangedPolicy[] {
  return withGroups(specs, options, (groups) => {
    const held = groups.find(({ group }) => group.record.hold !== null);
    if (held && change.migrate !== undefined && !migrates(change.migrate)) {
      throw new ConflictError(
        `${endpoint(held.group.record.key)} has a standby, and with --migrate ${change.migrate} nothing would be handed over: attach it without --hold first`,
      );
    }
    return groups.map((changeable) => {
      const { group } = changeable;
      group.setRecord({ ...group.record, ...change });
      applyChanged(changeable);
      const { migrate, route, settings } = group.record;
      return { group: group.name, migrate, route, settings };
    });
  });
}
