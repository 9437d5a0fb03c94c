import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { silentLog } from '@miniodb/core/runtime/log.ts';
import { MemoryGuard, type MemoryGuardOptions } from './memory-guard.ts';

const MIB = 1_048_576;

let guards: MemoryGuard[] = [];

afterEach(async () => {
  for (const guard of guards) await guard.stop();
  guards = [];
});

async function guardOf(
  memory: { usedBytes: number; bytesMax: number },
  more: Partial<MemoryGuardOptions> = {},
) {
  let slowed = 0;
  const guard = new MemoryGuard({
    readMemory: async () => ({ ...memory }),
    readPending: async () => new Map([['t', 10]]),
    bytesMax: undefined,
    log: silentLog(),
    onSlowed: () => {
      slowed += 1;
    },
    ...more,
  });
  guards.push(guard);
  await guard.start();
  return { guard, slowed: () => slowed };
}

const never = new AbortController().signal;

test('a write is refused with the cause and a delay when Redis is nearly full', async () => {
  const { guard } = await guardOf({ usedBytes: 90 * MIB, bytesMax: 100 * MIB });
  await assert.rejects(guard.admit('t', 1, never), (error: Error) => {
    assert.match(error.message, /90 %/);
    assert.ok(error instanceof MiniodbError);
    assert.deepEqual(
      [error.kind, error.code, error.retryAfterMs],
      ['resource_exhausted', 'redis_memory', 5_000],
    );
    return true;
  });
});

test('memory that has become free is used at once, although the last look says that it is full', async (context) => {
  context.mock.timers.enable({ apis: ['setInterval'] });
  const memory = { usedBytes: 90, bytesMax: 100 };
  const { guard } = await guardOf(memory);
  await assert.rejects(guard.admit('t', 1, never), { code: 'redis_memory' });
  memory.usedBytes = 10;
  // No look is due: only a refusal that would rest on an old one looks again.
  await context.waitFor(() => guard.admit('t', 1, never));
  assert.equal(guard.fullness, 0.1);
});

test('a write that is slowed ends with its caller', async () => {
  const { guard, slowed } = await guardOf({ usedBytes: 74, bytesMax: 100 });
  const abort = new AbortController();
  const admitted = guard.admit('t', 1, abort.signal);
  abort.abort();
  await assert.rejects(admitted, { code: 'cancelled' });
  assert.equal(slowed(), 1);
});

test('a Redis without maxmemory is held to the configured ceiling, and without one to nothing', async () => {
  const memory = { usedBytes: 90, bytesMax: 0 };
  const { guard: held } = await guardOf(memory, { bytesMax: 100 });
  await assert.rejects(held.admit('t', 1, never), { code: 'redis_memory' });
  const warned: unknown[] = [];
  const log = silentLog();
  log.warn = ((fields: unknown) => void warned.push(fields)) as typeof log.warn;
  const { guard: free } = await guardOf(memory, { log });
  await free.admit('t', 1, never);
  assert.deepEqual(warned, [{ event: 'redis_memory_unguarded' }]);
});

test('what tables hold is asked for only while Redis fills up', async () => {
  let asked = 0;
  const readPending = async () => {
    asked += 1;
    return new Map();
  };
  await guardOf({ usedBytes: 59, bytesMax: 100 }, { readPending });
  assert.equal(asked, 0);
  await guardOf({ usedBytes: 61, bytesMax: 100 }, { readPending });
  assert.equal(asked, 1);
});

test('what passes between two looks counts, so that a small Redis is not filled within a second', async (context) => {
  context.mock.timers.enable({ apis: ['setInterval'] });
  const memory = { usedBytes: 50, bytesMax: 100 };
  const { guard } = await guardOf(memory);
  await guard.admit('t', 9, never);
  memory.usedBytes = 90;
  await context.waitFor(() => assert.rejects(guard.admit('t', 9, never), { code: 'redis_memory' }));
});
