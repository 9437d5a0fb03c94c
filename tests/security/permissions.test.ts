import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Answer, type GuardedCluster, startGuardedCluster, type User } from './callers.ts';
import { MATRIX_USERS, MAY, TABLES, type TableName } from './matrix.ts';

let guarded: GuardedCluster;
before(async () => {
  guarded = await startGuardedCluster();
  for (const table of TABLES) await succeeds(as('admin-001').write(table));
  await succeeds(as('admin-001').call('POST', '/v1/tables', { table_name: 'order' }));
});
after(() => guarded?.stop());

/** Each operation on a table over REST, and which grants (one of them) it takes. */
const OPERATIONS: Readonly<
  Record<string, { grants: string; call: (user: Caller, table: string) => Promise<Answer> }>
> = {
  write: { grants: 'w', call: (user, table) => user.write(table) },
  'bulk write': {
    grants: 'w',
    call: (user, table) => user.call('POST', `/v1/tables/${table}/rows`, [{ id: 'i', payload: { n: 1 } }]),
  },
  query: { grants: 'r', call: (user, table) => user.query(`SELECT count(*) FROM "${table}"`) },
  describe: { grants: 'ra', call: (user, table) => user.call('GET', `/v1/tables/${table}`) },
  create: {
    grants: 'a',
    call: (user, table) => user.call('POST', '/v1/tables', { table_name: table, if_not_exists: true }),
  },
  update: {
    grants: 'a',
    call: (user, table) =>
      user.call('PATCH', `/v1/tables/${table}`, { config: { properties: { by: 'test' } } }),
  },
  drop: {
    grants: 'a',
    // Refused for the rows in it where it is not refused for the grant.
    call: (user, table) => user.call('DELETE', `/v1/tables/${table}?if_exists=true`),
  },
};

interface Caller {
  call(method: string, path: string, body?: unknown): Promise<Answer>;
  write(table: string): Promise<Answer>;
  query(sql: string, params?: readonly unknown[]): Promise<Answer>;
}

function caller(token: string | undefined): Caller {
  const call = (method: string, path: string, body?: unknown) => guarded.call(token, method, path, body);
  return {
    call,
    write: (table) => call('POST', '/v1/data', { table, id: 'i', payload: { n: 1 } }),
    query: (sql, params) => call('POST', '/v1/query', { sql, ...(params === undefined ? {} : { params }) }),
  };
}

const as = (user: User) => caller(guarded.tokens[user]);

async function succeeds(work: Promise<Answer>): Promise<Answer> {
  const answer = await work;
  assert.equal(answer.status, 200, answer.text);
  return answer;
}

async function forbidden(work: Promise<Answer>, what: string, code = 'table_forbidden'): Promise<Answer> {
  const answer = await work;
  assert.deepEqual([answer.status, answer.code], [403, code], `${what}: ${answer.text}`);
  return answer;
}

describe('over REST', () => {
  for (const user of MATRIX_USERS) {
    for (const [operation, { grants, call }] of Object.entries(OPERATIONS)) {
      test(`${operation} by ${user} is answered on exactly the tables that its grants name`, async () => {
        for (const table of TABLES) {
          const may = [...grants].some((grant) => MAY[user]![table].includes(grant));
          const work = call(as(user), table);
          if (!may) await forbidden(work, table);
          else if (operation !== 'drop') await succeeds(work);
          else assert.equal((await work).code, 'table_not_empty');
        }
      });
    }

    test(`a list for ${user} has exactly the tables that it may read or administer`, async () => {
      const { body } = await succeeds(as(user).call('GET', '/v1/tables'));
      const names = (body.tables as { name: string }[]).map(({ name }) => name);
      const expected = TABLES.filter((table) => /[ra]/.test(MAY[user]![table]));
      assert.deepEqual(
        names.filter((name) => TABLES.includes(name as TableName)),
        [...expected].sort(),
      );
      const seesAll = ['analyst-001', 'admin-001'].includes(user);
      assert.equal(names.includes('order'), seesAll);
    });

    test(`nodes are told to ${user} only if it may do everything, and statistics hold only its tables`, async () => {
      const nodes = as(user).call('GET', '/v1/nodes');
      await (user === 'admin-001' ? succeeds(nodes) : forbidden(nodes, user, 'cluster_forbidden'));
      const { body } = await succeeds(as(user).call('GET', '/v1/stats'));
      const readable = TABLES.filter((table) => MAY[user]![table].includes('r')).length;
      const counted = (body.buffer_stats as { tables: number }).tables;
      if (user === 'admin-001' || user === 'analyst-001') assert.ok(counted >= readable);
      else assert.equal(counted, readable);
      assert.equal(Object.keys(body.redis_stats as object).length > 0, user === 'admin-001');
    });
  }

  test('nobody, and a token that nobody made, is answered nothing but health', async () => {
    const unknown = `mdb_${'0'.repeat(16)}_${'0'.repeat(64)}`;
    for (const [token, code] of [
      [undefined, 'credentials_missing'],
      [unknown, 'unauthenticated'],
      ['', 'credentials_missing'],
      ['x'.repeat(12_000), 'unauthenticated'],
    ] as const) {
      const stranger = caller(token);
      for (const [operation, { call }] of Object.entries(OPERATIONS)) {
        const answer = await call(stranger, 'users');
        assert.deepEqual([answer.status, answer.code], [401, code], operation);
      }
      for (const path of ['/v1/tables', '/v1/stats', '/v1/nodes', '/v1/nothing']) {
        assert.equal((await stranger.call('GET', path)).status, 401, path);
      }
      assert.equal((await stranger.call('GET', '/v1/health')).status, 200);
    }
  });
});

describe('a query', () => {
  test('needs read on each of its tables, wherever in the text they stand', async () => {
    const user = as('service-user-001');
    await succeeds(user.query('SELECT count(*) FROM users a JOIN users b ON a.id = b.id'));
    for (const sql of [
      'SELECT count(*) FROM users JOIN orders USING (id)',
      'SELECT count(*) FROM users, orders',
      'SELECT (SELECT count(*) FROM orders) FROM users',
      'SELECT 1 FROM users WHERE id IN (SELECT id FROM orders)',
      'SELECT 1 FROM users WHERE EXISTS (FROM orders)',
      'SELECT id FROM users UNION ALL SELECT id FROM orders',
      'SELECT 1 FROM users ORDER BY (SELECT max(id) FROM orders)',
      'SELECT 1 FROM users LIMIT (SELECT count(*) FROM orders)',
      'SELECT 1 FROM users a LEFT JOIN users b ON (SELECT true FROM orders LIMIT 1)',
      'WITH x AS (FROM orders) SELECT count(*) FROM users',
      'WITH users AS (SELECT 1) FROM main.users, orders',
      'WITH orders AS (FROM orders) FROM orders',
      'SELECT id, row_number() OVER () AS r FROM users QUALIFY r < (SELECT count(*) FROM orders)',
      'SELECT * FROM users, LATERAL (SELECT count(*) FROM orders WHERE orders.id = users.id)',
      'FROM OrDeRs',
      'FROM "ORDERS"',
      'FROM main.orders',
    ]) {
      await forbidden(user.query(sql), sql);
    }
    const joined = 'SELECT count(*) FROM users JOIN orders USING (id)';
    await succeeds(as('service-order-001').query(joined));
    await succeeds(as('analyst-001').query(joined));
  });

  test('is refused in the same words whether the table exists or not', async () => {
    const user = as('service-user-001');
    const refusal = async (table: string, work: (table: string) => Promise<Answer>) => {
      const { status, text } = await work(table);
      assert.notEqual(status, 200, text);
      return text.replaceAll(table, '…');
    };
    for (const [operation, { call }] of Object.entries(OPERATIONS)) {
      const there = await refusal('orders', (table) => call(user, table));
      assert.equal(await refusal('nowhere', (table) => call(user, table)), there, operation);
    }
  });

  test('does not tell by its syntax errors which keywords are tables', async () => {
    const sql = (word: string) => `SELECT count(*) FROM ${word}`;
    await succeeds(as('analyst-001').query(sql('order')));
    const answers = ['order', 'group'].map(async (word) => {
      const { status, code, text } = await as('service-user-001').query(sql(word));
      return [status, code, text.replaceAll(word, '…')];
    });
    const [there, notThere] = await Promise.all(answers);
    assert.deepEqual(there, notThere);
    assert.equal(there![1], 'sql_syntax');
  });

  test('without a table is for those who may read some table', async () => {
    await succeeds(as('service-user-001').query('SELECT 42'));
    await forbidden(as('logger-001').query('SELECT 42'), 'a write-only user');
  });
});

describe('a table that does not exist', () => {
  test('is made by a write only of who may write to that name', async () => {
    for (const [user, table] of [
      ['service-user-001', 'users2'],
      ['logger-001', 'logs_2'],
      ['analyst-001', 'analyst'],
      ['acme-001', 'acme'],
      ['acme-001', 'xacme_a'],
    ] as const) {
      await forbidden(as(user).write(table), table);
    }
    const { body } = await succeeds(as('admin-001').call('GET', '/v1/tables'));
    const names = (body.tables as { name: string }[]).map(({ name }) => name);
    for (const name of ['users2', 'logs_2', 'analyst', 'acme', 'xacme_a'])
      assert.ok(!names.includes(name), name);
    await succeeds(as('acme-001').write('Acme_New'));
    await succeeds(as('acme-001').query('SELECT count(*) FROM acme_new'));
  });
});

describe('two tenants', () => {
  before(async () => {
    for (const tenant of ['acme', 'globex'] as const) {
      const user = as(`${tenant}-001`);
      await succeeds(user.write(`${tenant}_orders`));
      await succeeds(user.call('POST', '/v1/tables', { table_name: `${tenant}_made` }));
    }
  });

  for (const [mine, other] of [
    ['acme', 'globex'],
    ['globex', 'acme'],
  ] as const) {
    test(`${mine} does with its tables what it likes, and sees nothing of ${other}`, async () => {
      const user = as(`${mine}-001`);
      const seen: Answer[] = [
        await succeeds(user.call('GET', '/v1/tables')),
        await succeeds(user.call('GET', '/v1/tables?pattern=*')),
        await succeeds(user.call('GET', `/v1/tables/${mine}_orders`)),
        await succeeds(user.query(`SELECT * FROM ${mine}_orders`)),
        await succeeds(user.call('PATCH', `/v1/tables/${mine}_made`, { config: { properties: { a: 'b' } } })),
        await succeeds(user.call('GET', '/v1/stats')),
        await forbidden(user.call('GET', '/v1/nodes'), 'nodes', 'cluster_forbidden'),
        // Errors of all kinds, about tables of its own that do not exist, and about texts.
        await user.query(`SELECT * FROM ${mine}_nowhere`),
        await user.query(`SELECT nocolumn FROM ${mine}_orders`),
        await user.query(`SELECT * FROM ${mine}_orders o WHERE x.y = 1`),
        await user.query('SELECT * FROM information_schema.tables'),
        await user.query('SELECT * FROM duckdb_tables()'),
        await user.query('SHOW TABLES'),
        await user.query('SELEC'),
        await user.call('GET', `/v1/tables/${mine}_nowhere`),
        await user.call('DELETE', `/v1/tables/${mine}_nowhere`),
      ];
      for (const { text } of seen) assert.ok(!text.includes(other), text);
      const empty = await succeeds(user.call('GET', `/v1/tables?pattern=${other}*`));
      assert.deepEqual(empty.body, { tables: [], total: 0 });
      for (const [operation, { call }] of Object.entries(OPERATIONS)) {
        const there = await forbidden(call(user, `${other}_orders`), operation);
        const notThere = await forbidden(call(user, `${other}_nowhere`), operation);
        assert.equal(there.text.replaceAll('orders', ''), notThere.text.replaceAll('nowhere', ''));
      }
    });
  }

  test('a tenant drops its own table, and the other one’s of the same kind stays', async () => {
    await succeeds(as('acme-001').call('DELETE', '/v1/tables/acme_orders?cascade=true'));
    await succeeds(as('globex-001').query('SELECT count(*) FROM globex_orders'));
    assert.equal((await as('acme-001').query('SELECT count(*) FROM acme_orders')).code, 'table_not_found');
  });
});
