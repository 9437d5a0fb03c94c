import type { ShardState } from '@miniodb/core/queue/seals.ts';
import type { TableConfig } from '@miniodb/core/table/config.ts';
import { type DueReason, dueReason, orphanSeals } from './due.ts';

/** What there can be to do on a shard, each worth a slot of its own. */
export type Task =
  /** A seal whose flusher died or failed, from encode to commit. */
  | { readonly kind: 'drive'; readonly sealId: string }
  /** What is oldest, from claim to commit. */
  | { readonly kind: 'seal'; readonly reason: DueReason }
  /** Jobs that announce nothing any more. */
  | { readonly kind: 'clear' };

export interface ShardView {
  /** Ids of the seals that this flusher is working on. */
  readonly held: ReadonlySet<string>;
  /** Whether a seal that failed is left alone for now. */
  isPausing(sealId: string): boolean;
  /** A seal of this shard is being made right now: what is unsealed is about to be less. */
  readonly isSealing: boolean;
  readonly hasStrays: boolean;
}

/** With so many seals that wait for better times, what is pending is left to grow into larger ones. */
const SEALS_WAITING_MAX = 16;

/** A paused table's seals are driven on all the same: their rows are on their way. */
export function tasksOf(state: ShardState, config: TableConfig, view: ShardView): Task[] {
  const tasks: Task[] = orphanSeals(state, view.held)
    .filter((sealId) => !view.isPausing(sealId))
    .map((sealId) => ({ kind: 'drive', sealId }));
  if (view.isSealing) return tasks;
  const sealsWaiting = state.seals.filter(({ id }) => !view.held.has(id)).length;
  const reason = sealsWaiting < SEALS_WAITING_MAX ? dueReason(state, config) : undefined;
  if (reason !== undefined) tasks.push({ kind: 'seal', reason });
  // A seal claims jobs as well.
  else if (view.hasStrays) tasks.push({ kind: 'clear' });
  return tasks;
}

/**
 * Flushes of a shard that may run at once with this one. One that is only asked for waits for those under way: whoever
 * waits for a commit writes again right after it, so what all of them ask for meanwhile goes into one file, and not each
 * into its own.
 */
export function besidesMax(task: Task, shardMax: number): number {
  return task.kind === 'seal' && task.reason === 'asked' ? 1 : shardMax;
}

export function taskName(task: Task): string {
  return task.kind === 'drive' ? `drive:${task.sealId}` : task.kind;
}
