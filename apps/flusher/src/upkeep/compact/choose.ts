import type { IndexedFile } from '@miniodb/core/index/plan.ts';
import { MIXED_DAY } from '@miniodb/core/table/keys.ts';
import { parseObjectKey } from '@miniodb/core/table/object-name.ts';

/** Files that one plan rewrites: all of one folder and day, or mixed ones of one shard. */
export interface Choice {
  /** `merge`: into one file of the same folder and day; `split`: mixed files into files of their days. */
  readonly kind: 'merge' | 'split';
  readonly inputs: readonly IndexedFile[];
}

export interface ChoiceLimits {
  /** Files of half this size and beyond are left alone; a plan's inputs stay below it together. */
  readonly targetBytes: number;
  /** Files of one tier that are worth a rewrite. */
  readonly filesMin: number;
  /** One Lua call swaps them all, and each is a local file meanwhile. */
  readonly inputsMax: number;
  /** Of a plan, whose rows are sorted together: compressed, they may be few bytes. */
  readonly rowsMax: number;
}

export const CHOICE_LIMITS: ChoiceLimits = {
  targetBytes: 128 * 1_048_576,
  filesMin: 8,
  inputsMax: 512,
  rowsMax: 20_000_000,
};

/** Smaller files are all of one tier: what they cost is being there, not their bytes. */
const TIER_BYTES_MIN = 1_048_576;
const TIER_RATIO = 4;

/**
 * What to rewrite in one shard, most files first. Files are merged with others of about their size (tiers four times
 * apart): so a byte is rewritten once a tier, some four times in all, instead of with every flush.
 */
export function chooseCompactions(files: readonly IndexedFile[], limits: ChoiceLimits): readonly Choice[] {
  const choices: Choice[] = [];
  for (const [name, members] of Map.groupBy(files, groupOf)) {
    // However few, and however large: a mixed file is read by the queries of all its days.
    if (name.endsWith(`/${MIXED_DAY}`)) {
      for (const inputs of portions(members, limits)) choices.push({ kind: 'split', inputs });
      continue;
    }
    const small = members.filter(
      ({ entry }) => entry.sizeBytes < limits.targetBytes / 2 && entry.rows < limits.rowsMax / 2,
    );
    for (const tier of Map.groupBy(small, ({ entry }) => tierOf(entry.sizeBytes)).values()) {
      for (const inputs of portions(tier, limits)) {
        if (inputs.length >= limits.filesMin) choices.push({ kind: 'merge', inputs });
      }
    }
  }
  return choices.sort((a, b) => b.inputs.length - a.inputs.length);
}

/** Files may only be merged with those of their folder and day: an id's files stay below its path. */
function groupOf({ entry }: IndexedFile): string {
  const name = parseObjectKey(entry.key);
  return name === undefined ? entry.key : `${name.folder}/${name.day}`;
}

function tierOf(sizeBytes: number): number {
  return sizeBytes <= TIER_BYTES_MIN
    ? 0
    : Math.ceil(Math.log(sizeBytes / TIER_BYTES_MIN) / Math.log(TIER_RATIO));
}

/** Oldest first, so that what is merged is close in time. */
function portions(files: readonly IndexedFile[], limits: ChoiceLimits): IndexedFile[][] {
  const { targetBytes, inputsMax, rowsMax } = limits;
  const lists: IndexedFile[][] = [];
  let list: IndexedFile[] = [];
  let bytes = 0;
  let rows = 0;
  for (const file of files.toSorted((a, b) => a.entry.acceptedMs - b.entry.acceptedMs)) {
    bytes += file.entry.sizeBytes;
    rows += file.entry.rows;
    if (list.length > 0 && (list.length === inputsMax || bytes > targetBytes || rows > rowsMax)) {
      lists.push(list);
      list = [];
      bytes = file.entry.sizeBytes;
      rows = file.entry.rows;
    }
    list.push(file);
  }
  if (list.length > 0) lists.push(list);
  return lists;
}
