/** policy: changes the policy of attached groups; nothing is detached and no connection is lost. */
import type { Migrate, Route, SettingsPolicy } from "../core/abi.ts";
import { endpoint } from "../core/listener.ts";
import type { Spec } from "../core/spec.ts";
import { ConflictError } from "../errors.ts";
import { applyChanged, withGroups } from "./pinned_groups.ts";

/** The parts of the policy to change. */
export interface PolicyChange {
  readonly migrate?: Migrate;
  readonly route?: Route;
  readonly settings?: SettingsPolicy;
}

/** A group's policy after the change. */
export interface ChangedPolicy {
  readonly group: string;
  readonly migrate: Migrate;
  readonly route: Route;
  readonly settings: SettingsPolicy;
}

/** Returns whether connections migrate under this policy. A hold requires that, to hand over. */
export const migrates = (migrate: Migrate): boolean => migrate === "newest" || migrate === "any";

/**
 * @throws NoMatchError, or ConflictError if a group with a standby would not migrate; nothing is
 * changed then
 */
export function changePolicy(
  specs: readonly Spec[],
  change: PolicyChange,
  options: { readonly bpffs?: string } = {},
): Promise<ChangedPolicy[]> {
  return withGroups(specs, options, (groups) => {
    const held = groups.find(({ group }) => group.record.hold !== null);
    if (held && change.migrate !== undefined && !migrates(change.migrate)) {
      throw new ConflictError(
        `${endpoint(held.group.record.key)} has a standby, which could not hand over with --migrate ${change.migrate}: attach it without --hold first`,
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
