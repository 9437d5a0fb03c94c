import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Grants } from '@miniodb/core/auth/grants.ts';
import type { TaskQueue, TaskReport } from '@miniodb/core/queue/tasks.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { CallContext } from '../api.ts';
import { type BackupsContext, backupTable, listBackups, lookAtTask, restoreTable } from './backup.ts';
import type { Tables } from './tables.ts';

const asked: string[] = [];
const TASK: TaskReport = {
  id: 'backup-20260101-000000-abcdef',
  state: 'waiting',
  data: { v: 1, kind: 'backup', table: 'orders', by: 'x', filter: {} },
  progress: 0,
  result: undefined,
  failure: undefined,
};
const queue = {
  add: async (id: string) => void asked.push(id),
  look: async () => TASK,
  forget: async () => {},
} as unknown as TaskQueue;
const context: BackupsContext = {
  tasks: queue,
  questions: queue,
  tables: {
    canonical: (name: string) => name.toLowerCase(),
    forQuery: async () => ({}),
    ownerOf: () => undefined,
    forget: () => {},
  } as unknown as Tables,
  clock: { nowMs: () => 0 },
  tablesMax: 10,
};

function callBy(...grants: string[]): CallContext {
  return {
    principal: { user: 'u', grants: new Grants(grants) },
    requestId: 'r',
    signal: new AbortController().signal,
  };
}

const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => undefined,
    (error: unknown) => (error instanceof MiniodbError ? error.code : String(error)),
  );

test('backups take the admin grant on the table, and a restore on both tables, before anything is asked for', async () => {
  const call = callBy('table:users:admin', 'table:orders:read', 'table:orders:write');
  const restore = (table: string, target: string) =>
    restoreTable(context, table, { backup: '', target, mode: 'replace', waits: false }, call);
  for (const work of [
    backupTable(context, 'orders', { id: '', day: '', waits: false }, call),
    listBackups(context, 'Orders', call),
    restore('orders', ''),
    restore('orders', 'users'),
    restore('users', 'orders'),
  ]) {
    assert.equal(await codeOf(work), 'table_forbidden');
  }
  assert.deepEqual(asked, []);
  assert.equal((await restore('users', '')).state, 'waiting');
  assert.equal(asked.length, 1);
});

test('tasks of tables that one may not administer are not there', async () => {
  assert.equal(await codeOf(lookAtTask(context, TASK.id, callBy('table:users:admin'))), 'task_not_found');
  assert.equal((await lookAtTask(context, TASK.id, callBy('table:orders:admin'))).id, TASK.id);
  assert.equal(await codeOf(lookAtTask(context, '1', callBy('table:*:*'))), 'task_not_found');
});
