import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Grants } from '@miniodb/core/auth/grants.ts';
import { ANONYMOUS } from '@miniodb/core/auth/principal.ts';
import type { CallContext } from '../api.ts';
import { RecordingApi } from '../server/recording-api.ts';
import { type Guards, guarded } from './guarded.ts';
import { PrincipalLimits } from './principal-limits.ts';

const call: CallContext = { principal: ANONYMOUS, requestId: 'r', signal: new AbortController().signal };
const row = { id: 'x', payload: {} };

function guardedApi(more: Partial<Guards> = {}) {
  const inner = new RecordingApi();
  const refused: string[] = [];
  const api = guarded(inner, {
    memory: { admit: async () => {} },
    principals: new PrincipalLimits({}),
    canonical: (table) => table.toLowerCase(),
    onRefused: (code) => refused.push(code),
    ...more,
  });
  return { api, inner, refused };
}

test('calls beyond the bound are refused until one has ended, queries apart from writes', {
  timeout: 5_000,
}, async () => {
  const { api, inner, refused } = guardedApi({ writesMax: 2, queriesMax: 1 });
  const gate = Promise.withResolvers<void>();
  inner.gate = () => gate.promise;
  const running = [
    api.writeRow('t', row, call),
    api.writeRow('t', row, call),
    api.query({ sql: '', params: [] }, call),
  ];
  const full = { kind: 'resource_exhausted', code: 'too_many_requests_in_flight', retryAfterMs: 500 };
  await assert.rejects(api.writeRow('t', row, call), full);
  await assert.rejects(api.query({ sql: '', params: [] }, call), full);
  assert.deepEqual(refused, ['too_many_requests_in_flight', 'too_many_requests_in_flight']);
  gate.resolve();
  await Promise.all(running);
  await api.writeRow('t', row, call);
  await api.query({ sql: '', params: [] }, call);
});

test('a call that fails gives its place back, and is not counted as refused here', async () => {
  const { api, inner, refused } = guardedApi({ writesMax: 1 });
  inner.failure = new Error('broken');
  await assert.rejects(api.writeRow('t', row, call), /broken/);
  inner.failure = undefined;
  await api.writeRow('t', row, call);
  assert.deepEqual(refused, []);
});

test('who may not write to a table is not told how full Redis is', async () => {
  const asked: string[] = [];
  const memory = { admit: async (table: string) => void asked.push(table) };
  const { api } = guardedApi({ memory });
  const reader = { user: 'reader', grants: new Grants(['table:t:read']) };
  await api.writeRow('T', row, { ...call, principal: reader });
  await api.writeRow('T', row, call);
  assert.deepEqual(asked, ['t']);
});
