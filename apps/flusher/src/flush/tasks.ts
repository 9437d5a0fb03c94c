import type { ShardState } from '@miniodb/core/queue/seals.ts';
import type { TableConfig } from '@miniodb/core/table/config.ts';
import { dueReason, orphanSeals } from './due.ts';

/** What there can be to do on a shard, each worth a slot of its own. */
export type Task =
  /** A seal whose flusher died or failed, from encode to commit. */
  | { readonly kind: 'drive'; readonly sealId: string }
  /** What is oldest, from claim to commit. */
  | { readonly kind: 'seal' }
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
  const isDue = sealsWaiting < SEALS_WAITING_MAX && dueReason(state, config) !== undefined;
  if (isDue) tasks.push({ kind: 'seal' });
  // A seal claims jobs as well.
  else if (view.hasStrays) tasks.push({ kind: 'clear' });
  return tasks;
}

export function taskName(task: Task): string {
  return task.kind === 'drive' ? `drive:${task.sealId}` : task.kind;
}
