import type { PutAnswer } from '@miniodb/core/queue/put.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { columnConflict } from './type-guard.ts';

/** What the callers hear of a put that took nothing. */
export function refusal(
  table: string,
  answer: Exclude<PutAnswer, { status: 'ok' | 'duplicate' | 'stale' }>,
  isFlushPaused: boolean,
): MiniodbError {
  switch (answer.status) {
    case 'gone':
      return new MiniodbError('not_found', `table ${table} does not exist`, { code: 'table_gone' });
    case 'archived':
      return new MiniodbError('failed_precondition', `table ${table} is archived: it takes no writes`, {
        code: 'table_archived',
      });
    case 'conflict':
      return new MiniodbError('already_exists', 'this batch_id was used for another request', {
        code: 'batch_id_conflict',
      });
    case 'expired':
      return new MiniodbError('unavailable', 'Redis was too slow; the rows are not stored', {
        code: 'put_expired',
        retryAfterMs: 1_000,
      });
    case 'pending_bytes':
      return new MiniodbError(
        'resource_exhausted',
        `table ${table} has reached max_pending_bytes (${answer.capBytes}): its flushes ${isFlushPaused ? 'are paused (flush_paused)' : 'lag behind its writes'}`,
        { code: 'pending_bytes_exceeded', retryAfterMs: 2_000 },
      );
    case 'type_conflict':
      return columnConflict(answer.name, answer.column, answer.came);
  }
}
