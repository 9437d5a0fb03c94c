import { randomBytes } from 'node:crypto';
import { pinTable, unpinTable } from '@miniodb/core/index/pin.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { failpoint } from '@miniodb/core/runtime/failpoints.ts';
import type { Table } from '@miniodb/core/table/catalog.ts';
import { pause } from '../../pause.ts';
import type { BackupContext } from './context.ts';
import { tableGone } from './instant.ts';

/** Outlives a pause of this process; when it dies, nothing is held up for longer. */
const PIN_MS = 120_000;
const PROLONG_EVERY_MS = 20_000;

/**
 * Does the work while everything that is in the table's index keeps its object. `stillPinned` throws unless that held all
 * the time. Throws `table_gone`, `pin_expired`.
 */
export async function whilePinned<Result>(
  { redis, fixed }: Pick<BackupContext, 'redis' | 'fixed'>,
  table: Table,
  signal: AbortSignal,
  work: (stillPinned: () => Promise<void>) => Promise<Result>,
): Promise<Result> {
  const ref = { table: table.name, generation: table.generation };
  const pinId = randomBytes(8).toString('hex');
  const hold = async (how: 'new' | 'prolong') => {
    const answer = await pinTable(redis, fixed, ref, pinId, PIN_MS, how);
    if (answer === 'gone') throw tableGone(table.name);
    if (answer === 'expired') {
      throw new MiniodbError('unavailable', 'this process stood still for too long: objects may be gone', {
        code: 'pin_expired',
      });
    }
  };
  await hold('new');
  await failpoint('bk.pin');
  const over = new AbortController();
  const prolonging = prolong(hold, AbortSignal.any([signal, over.signal]));
  try {
    return await work(() => hold('prolong'));
  } finally {
    over.abort();
    await prolonging;
    // One that stays expires.
    await unpinTable(redis, ref, pinId).catch(() => {});
  }
}

/** What goes wrong here is noticed by stillPinned. */
async function prolong(hold: (how: 'prolong') => Promise<void>, signal: AbortSignal): Promise<void> {
  for (;;) {
    await pause(PROLONG_EVERY_MS, signal);
    if (signal.aborted) return;
    await hold('prolong').catch(() => {});
  }
}
