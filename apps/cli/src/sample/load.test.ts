import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { WriteBatchResponse } from '@miniodb/proto/gen/olap/v1/olap.ts';
import { DATA_SETS } from './data-sets.ts';
import { CHUNK_ROWS, type LoadContext, loadDataSet } from './load.ts';
import { ProgressFile } from './progress-file.ts';
import { countProblem } from './run.ts';

const scratch = mkdtempSync(join(tmpdir(), 'miniodb-sample-'));
after(() => rmSync(scratch, { recursive: true }));
const airports = DATA_SETS[0]!;
const AIRPORT_ROWS = 3_376;

/** A gateway as far as loading sees one: stores a batch id once, and fails where it is told to. */
class Store {
  readonly stored = new Map<string, number>();
  readonly requests: string[] = [];
  failures: (Error | undefined)[] = [];
  /** Whether a failing request is stored all the same. */
  storesBeforeFailing = false;

  context(dataDir: string, signal = new AbortController().signal): LoadContext {
    return {
      client: {
        createTable: () => Promise.resolve({ success: true, message: '' }),
        writeBatch: async (request) => {
          const failure = this.failures.shift();
          this.requests.push(request.batch_id);
          if (failure === undefined || this.storesBeforeFailing) {
            this.stored.set(
              request.batch_id,
              Buffer.from(request.ndjson).toString().trimEnd().split('\n').length,
            );
          }
          if (failure !== undefined) throw failure;
          return WriteBatchResponse.create();
        },
      },
      progress: new ProgressFile(dataDir),
      signal,
      onChunk: () => {},
    };
  }

  get rows(): number {
    return [...this.stored.values()].reduce((sum, rows) => sum + rows, 0);
  }
}

const unknown = () => new MiniodbError('outcome_unknown', 'connection lost', { code: 'outcome_unknown' });

test('a chunk whose outcome is not known is sent again under its batch id, and stored once', async () => {
  const store = new Store();
  store.storesBeforeFailing = true;
  store.failures = [unknown(), undefined, unknown()];
  const loaded = await loadDataSet(airports, store.context(mkdtempSync(join(scratch, 'again-'))));
  assert.deepEqual(loaded, { rows: AIRPORT_ROWS, sentRows: AIRPORT_ROWS });
  assert.equal(store.rows, AIRPORT_ROWS);
  assert.deepEqual(
    store.requests.map((id) => id.at(-1)),
    ['0', '0', '1', '1'],
  );
});

test('a load that was interrupted goes on where it was, without doubling the chunk under way', async () => {
  const dataDir = mkdtempSync(join(scratch, 'resume-'));
  const store = new Store();
  store.storesBeforeFailing = true;
  store.failures = [undefined, new Error('the process was killed')];
  await assert.rejects(loadDataSet(airports, store.context(dataDir)), { message: 'the process was killed' });
  assert.equal(new ProgressFile(dataDir).acknowledgedChunks('airports'), 1);
  const loaded = await loadDataSet(airports, store.context(dataDir));
  assert.deepEqual(loaded, { rows: AIRPORT_ROWS, sentRows: AIRPORT_ROWS - CHUNK_ROWS });
  assert.equal(store.rows, AIRPORT_ROWS);
  assert.deepEqual(await loadDataSet(airports, store.context(dataDir)), { rows: AIRPORT_ROWS, sentRows: 0 });
});

test('a refusal that repeating cannot change ends the load at once', async () => {
  const store = new Store();
  store.failures = [new MiniodbError('invalid_argument', 'bad row', { code: 'invalid_rows' })];
  const context = store.context(mkdtempSync(join(scratch, 'refused-')));
  await assert.rejects(loadDataSet(airports, context), { code: 'invalid_rows' });
  assert.equal(store.requests.length, 1);
});

test('a count that is short is always a problem, and one that is over only after a fresh load', () => {
  assert.equal(countProblem(airports, AIRPORT_ROWS, true), undefined);
  assert.equal(countProblem(airports, AIRPORT_ROWS + 1, false), undefined);
  assert.equal(countProblem(airports, AIRPORT_ROWS - 1, false), 'airports holds 3375 rows instead of 3376');
  assert.match(countProblem(airports, AIRPORT_ROWS + 1, true)!, /3377/);
  assert.match(countProblem(airports, Number.NaN, false)!, /NaN/);
});
