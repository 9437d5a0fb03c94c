import type { Redis } from '../redis/client.ts';
import { statusOf, unknownStatus } from '../redis/reply.ts';
import { runVerb } from '../redis/script.ts';
import { type FixedKeys, ProtocolKeys } from '../table/keys.ts';
import type { FileEntry } from './file-entry.ts';

/** A table's incarnation, and how many shards it has. */
export interface TableRef {
  readonly table: string;
  readonly generation: string;
  readonly shards: number;
}

/** A file as the index has it. */
export interface IndexedFile {
  /** `<shard>:<day>` or `<shard>:~mixed`. */
  readonly partition: string;
  readonly fileId: string;
  readonly entry: FileEntry;
}

/** What a plan is about, for people and for `doctor`: the verbs never look inside. */
export interface PlanText {
  readonly kind: 'compact' | 'retain' | 'cleanup' | 'delete' | 'replace' | 'restore';
  readonly by: string;
  readonly shard?: string;
  readonly inputs: number;
}

export type PlanAnswer =
  | 'ok'
  /** That incarnation of the table is no more. */
  | 'gone'
  /** Its swap was taken. */
  | 'done'
  /** It expired, and its objects may have been collected: begin again under a new id. */
  | 'dead';

/** Registers a plan under a fresh id, or prolongs one that is live. Repeatable. */
export async function registerPlan(
  redis: Redis,
  fixed: FixedKeys,
  ref: TableRef,
  planId: string,
  livesMs: number,
  text: PlanText,
  how: 'new' | 'prolong' = 'new',
): Promise<PlanAnswer> {
  const keys = new ProtocolKeys(ref.table, ref.generation);
  const reply = await runVerb(
    redis,
    'plan',
    [fixed.config(ref.table), keys.plans, keys.planTexts, keys.donePlans, keys.deadPlans],
    [ref.generation, planId, livesMs, JSON.stringify(text), how === 'prolong' ? 1 : 0],
  );
  const status = statusOf('plan', reply);
  if (status === 'ok' || status === 'gone' || status === 'done' || status === 'dead') return status;
  throw unknownStatus('plan', reply);
}
