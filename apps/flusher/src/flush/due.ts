import type { ShardState } from '@miniodb/core/queue/seals.ts';
import type { TableConfig } from '@miniodb/core/table/config.ts';

export type DueReason = 'rows' | 'age' | 'bytes' | 'batches' | 'asked';

/** Compressed bytes, and batches, that make a flush due however few the rows are. */
const DUE_BYTES = 32 * 1_048_576;
const DUE_BATCHES = 1_000;
/** A shard this many flush intervals late is anybody's, whoever owns it. */
const OVERDUE_INTERVALS = 4;
const OVERDUE_MIN_MS = 10_000;
/** A seal this old that nobody here holds lost its flusher, or has a slow one: driving it twice only costs work. */
const ORPHAN_SEAL_MS = 5_000;

/**
 * Why a shard's flush is due, or undefined. Nothing is held back once it is due, and nothing flushed before; of a paused
 * table nothing is due, asked for or not. `asked` when nothing else makes it so.
 */
export function dueReason(state: ShardState, config: TableConfig): DueReason | undefined {
  if (state.oldestAcceptedMs === undefined || config.flush_paused) return undefined;
  if (state.unsealed.rows >= config.buffer_size) return 'rows';
  if (state.nowMs - state.oldestAcceptedMs >= config.flush_interval_seconds * 1_000) return 'age';
  if (state.unsealed.bytes >= DUE_BYTES) return 'bytes';
  if (state.unsealed.batches >= DUE_BATCHES) return 'batches';
  if (state.isAsked) return 'asked';
  return undefined;
}

/** Milliseconds until it is due though nothing more comes, or undefined when it never will be. */
export function dueInMs(state: ShardState, config: TableConfig): number | undefined {
  if (state.oldestAcceptedMs === undefined || config.flush_paused) return undefined;
  if (state.isAsked) return 0;
  return state.oldestAcceptedMs + config.flush_interval_seconds * 1_000 - state.nowMs;
}

/** Whether the owner has left it so long that any flusher should take it. */
export function isOverdue(state: ShardState, config: TableConfig): boolean {
  const limitMs = Math.max(OVERDUE_INTERVALS * config.flush_interval_seconds * 1_000, OVERDUE_MIN_MS);
  const oldestMs = Math.min(state.oldestAcceptedMs ?? state.nowMs, state.seals[0]?.sealedMs ?? state.nowMs);
  return state.nowMs - oldestMs >= limitMs;
}

/** Seals that this flusher should drive on. @param held ids that it is working on itself */
export function orphanSeals(state: ShardState, held: ReadonlySet<string>): string[] {
  return state.seals
    .filter(({ id, sealedMs }) => !held.has(id) && state.nowMs - sealedMs >= ORPHAN_SEAL_MS)
    .map(({ id }) => id);
}

/** Nothing pending, sealed or queued: the hint may go. */
export function isSettled(state: ShardState): boolean {
  return (
    state.unsealed.batches === 0 &&
    state.seals.length === 0 &&
    state.jobsWaiting === 0 &&
    state.jobsActive === 0
  );
}
