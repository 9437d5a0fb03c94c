import type { FileEntry } from '@miniodb/core/index/file-entry.ts';
import { MIXED_DAY } from '@miniodb/core/table/keys.ts';

const DAY_MS = 86_400_000;
const DAY_MICROS = BigInt(DAY_MS) * 1_000n;

/**
 * Whether retention takes a file: the day of its newest row has been over for that many days, and its newest row was
 * accepted that many days ago, so that loading old data does not lose them. @param days not negative
 */
export function isPastRetention(
  { maxTs, acceptedMs }: Pick<FileEntry, 'maxTs' | 'acceptedMs'>,
  days: number,
  nowMs: number,
): boolean {
  const lastsMs = days * DAY_MS;
  return dayEndMs(maxTs) + lastsMs <= nowMs && acceptedMs + lastsMs <= nowMs;
}

/** Whether a partition can hold such files. @param partition `<shard>:<day>` or `<shard>:~mixed` */
export function mayBePastRetention(partition: string, days: number, nowMs: number): boolean {
  const day = partition.slice(partition.indexOf(':') + 1);
  if (day === MIXED_DAY) return true;
  const startMs = Date.parse(`${day}T00:00:00Z`);
  return Number.isNaN(startMs) || startMs + (days + 1) * DAY_MS <= nowMs;
}

/** The first millisecond after the UTC day of a row. @param micros since 1970, decimal text */
function dayEndMs(micros: string): number {
  const total = BigInt(micros);
  const day = total / DAY_MICROS - (total < 0n && total % DAY_MICROS !== 0n ? 1n : 0n);
  return Number((day + 1n) * BigInt(DAY_MS));
}

/** How far clocks may be apart before nothing is deleted by them. */
export const CLOCKS_APART_MS_MAX = 5 * 60_000;

/** Why nothing may be deleted by these clocks; undefined: nothing speaks against it. @param newestAcceptedMs 0: unknown */
export function clockTrouble(
  processMs: number,
  redisMs: number,
  newestAcceptedMs: number,
): 'clocks_disagree' | 'accepted_in_the_future' | undefined {
  if (Math.abs(processMs - redisMs) > CLOCKS_APART_MS_MAX) return 'clocks_disagree';
  if (newestAcceptedMs > Math.min(processMs, redisMs) + CLOCKS_APART_MS_MAX) return 'accepted_in_the_future';
  return undefined;
}
