import { assertInvariant } from '../runtime/errors.ts';
import type { FileKind, LayoutSettings } from './encoder.ts';
import { compareUtf8 } from './utf8-order.ts';

/**
 * Which files a seal becomes. A pure decision over what each day holds; it never looks at every id, because a day may
 * have a million of them and at most `filesMax` can matter.
 */
export interface DayGroups {
  /** `YYYY-MM-DD` */
  readonly day: string;
  readonly rows: number;
  /** Number of distinct ids. */
  readonly ids: number;
  /**
   * The ids with the most rows, most rows first, then in UTF-8 byte order: all of them or the first `filesMax`. Those
   * below `ownRowsMin` may be missing when the day has more than both `ownIdsMax` and `filesMax` ids.
   */
  readonly top: readonly IdGroup[];
}

export interface IdGroup {
  readonly id: string;
  readonly rows: number;
}

export interface PlannedFile {
  readonly kind: FileKind;
  /** The one day of an `id` or `packed` file, the several of the `mixed` one. */
  readonly days: readonly string[];
  /** The one id of an `id` file. */
  readonly id: string | undefined;
  /** For `packed`: the ids of its day that have files of their own. */
  readonly exceptIds: readonly string[];
}

/** The days of groups that are in memory, as planLayout wants them. */
export function summariseDays(
  groups: Iterable<{ readonly day: string; readonly id: string; readonly rows: number }>,
  filesMax: number,
): DayGroups[] {
  const days = Map.groupBy(groups, ({ day }) => day);
  return Array.from(days, ([day, ofDay]) => ({
    day,
    rows: ofDay.reduce((sum, { rows }) => sum + rows, 0),
    ids: ofDay.length,
    top: ofDay.toSorted((a, b) => b.rows - a.rows || compareUtf8(a.id, b.id)).slice(0, filesMax),
  }));
}

interface DayPlan {
  readonly groups: DayGroups;
  /** The largest ids of the day, still the most rows first. */
  readonly own: IdGroup[];
}

/**
 * Every (day, id) is in exactly one file and there are at most `filesMax` of them, in order of day; the mixed file is
 * the last. Beyond the cap, the smallest ids fall back to the packed file of their day; when even one file a day is
 * too many, the smallest days share one mixed file.
 */
export function planLayout(days: readonly DayGroups[], settings: LayoutSettings): PlannedFile[] {
  const { filesMax } = settings;
  assertInvariant(Number.isInteger(filesMax) && filesMax >= 1, 'files-cap', `filesMax is ${filesMax}`);
  const plans = days.toSorted((a, b) => (a.day < b.day ? -1 : 1)).map((groups) => wantedOf(groups, settings));
  demoteIds(plans, filesMax);
  const mixed = new Set(smallestDays(plans, filesMax));
  const files = plans.filter((plan) => !mixed.has(plan)).flatMap((plan) => filesOfDay(plan, settings));
  if (mixed.size > 0) {
    const mixedDays = plans.filter((plan) => mixed.has(plan)).map((plan) => plan.groups.day);
    files.push({ kind: 'mixed', days: mixedDays, id: undefined, exceptIds: [] });
  }
  return files;
}

function wantedOf(groups: DayGroups, settings: LayoutSettings): DayPlan {
  const top = groups.top.slice(0, settings.filesMax);
  switch (settings.mode) {
    case 'packed':
      return { groups, own: [] };
    case 'id':
      return { groups, own: top };
    case 'auto': {
      const isHandful = groups.ids <= settings.ownIdsMax;
      return { groups, own: isHandful ? top : top.filter(({ rows }) => rows >= settings.ownRowsMin) };
    }
  }
}

/** Takes files of their own from the smallest ids of all days until the files fit or no id has one. */
function demoteIds(plans: readonly DayPlan[], filesMax: number): void {
  let files = plans.reduce((sum, plan) => sum + filesCount(plan), 0);
  if (files <= filesMax) return;
  const smallestFirst = plans
    .flatMap((plan) => plan.own.map((group) => ({ plan, rows: group.rows })))
    .toSorted((a, b) => a.rows - b.rows);
  for (const { plan } of smallestFirst) {
    if (files <= filesMax) return;
    files -= filesCount(plan);
    plan.own.pop(); // the smallest of its day, since both lists are in order of rows
    files += filesCount(plan);
  }
}

function filesCount({ groups, own }: DayPlan): number {
  return own.length + (own.length < groups.ids ? 1 : 0);
}

function smallestDays(plans: readonly DayPlan[], filesMax: number): DayPlan[] {
  if (plans.length <= filesMax) return [];
  const largestFirst = plans.toSorted((a, b) => b.groups.rows - a.groups.rows);
  return largestFirst.slice(filesMax - 1);
}

function filesOfDay({ groups, own }: DayPlan, settings: LayoutSettings): PlannedFile[] {
  const days = [groups.day];
  // A packed file of one id would only hide whose it is.
  const isLoneRest = own.length === groups.ids - 1 && settings.mode !== 'packed';
  const ids = (isLoneRest ? groups.top : own).map(({ id }) => id).toSorted(compareUtf8);
  const files = ids.map((id): PlannedFile => ({ kind: 'id', days, id, exceptIds: [] }));
  if (ids.length < groups.ids) files.push({ kind: 'packed', days, id: undefined, exceptIds: ids });
  return files;
}
