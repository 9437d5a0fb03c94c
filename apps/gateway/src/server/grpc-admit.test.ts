import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Grants } from '@miniodb/core/auth/grants.ts';
import { silentLog } from '@miniodb/core/runtime/log.ts';
import { ByteBudget } from '../write/budget.ts';
import { admitCallers } from './grpc-admit.ts';

const SERVICE = '/olap.v1.OlapService/';

function open(...grants: string[]) {
  const budget = new ByteBudget(1_000);
  const failed: string[] = [];
  const authentication = {
    isRequired: true,
    principalOf: async () => ({ user: 'u', grants: new Grants(grants) }),
  };
  const onFailed = (user: string, error: unknown) =>
    failed.push(`${user} ${(error as { code: string }).code}`);
  const admit = admitCallers(authentication, budget, silentLog(), onFailed);
  const ask = (path: string) => admit({ path, peer: '10.0.0.1', metadata: () => undefined });
  return { budget, failed, ask };
}

test('messages of writes count from their first byte until the handler has them or the call is over', async () => {
  const { budget, ask } = open('table:t:write');
  for (const method of ['Write', 'WriteBatch', 'WriteStream']) {
    const one = (await ask(`${SERVICE}${method}`)).intake!;
    const other = (await ask(`${SERVICE}${method}`)).intake!;
    one.arrived!(600);
    other.arrived!(300);
    assert.equal(budget.taken, 900);
    assert.throws(() => other.arrived!(200), { kind: 'resource_exhausted', code: 'too_much_in_flight' });
    one.handedOver!(600);
    assert.equal(budget.taken, 300);
    other.ended!();
    one.ended!();
    assert.equal(budget.taken, 0);
  }
});

test('who may write nowhere is refused before a byte of a write, and that is told', async () => {
  const { failed, ask } = open('table:*:read', 'table:*:admin');
  for (const method of ['Write', 'WriteBatch', 'WriteStream']) {
    await assert.rejects(ask(`${SERVICE}${method}`), { kind: 'permission_denied', code: 'table_forbidden' });
  }
  assert.deepEqual(failed, Array(3).fill('u table_forbidden'));
  assert.equal((await ask(`${SERVICE}Query`)).intake!.messageBytesMax, 1_048_576);
});

test('strangers may ask little, and soon', async () => {
  const { ask } = open();
  for (const path of [`${SERVICE}HealthCheck`, '/grpc.health.v1.Health/Watch', '/grpc.reflection.v1.X/Y']) {
    const { messageBytesMax, messageTimeoutMs } = (await ask(path)).intake!;
    assert.deepEqual([messageBytesMax, messageTimeoutMs], [4_096, 10_000], path);
  }
});
