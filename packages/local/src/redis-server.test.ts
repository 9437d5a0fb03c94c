import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { closeRedis, openRedis, whenReady } from '@miniodb/core/redis/client.ts';
import { silentLog } from '@miniodb/core/runtime/log.ts';
import { aptUnpack } from './redis-install.ts';
import { locateRedis } from './redis-locate.ts';
import { type RedisServer, startRedis } from './redis-server.ts';

const scratch = mkdtempSync(join(tmpdir(), 'miniodb-redis-'));
after(() => rmSync(scratch, { recursive: true }));
const softwareDir = join(scratch, 'software');

async function command(server: RedisServer, name: string, ...args: string[]): Promise<unknown> {
  const redis = openRedis({ url: server.url, connectionName: 'test', log: silentLog() });
  try {
    await whenReady(redis, 5_000);
    return await redis.call(name, ...args);
  } finally {
    await closeRedis(redis);
  }
}

test('what Redis acknowledged is there after SIGKILL, and its settings are those that durability needs', async (t) => {
  const options = {
    program: await locateRedis({ softwareDir }),
    dataDir: join(scratch, 'data'),
    logFile: join(scratch, 'redis.log'),
  };
  let server = await startRedis(options);
  t.after(() => server.stop());
  const expected = { appendonly: 'yes', appendfsync: 'always', 'no-appendfsync-on-rewrite': 'no', save: '' };
  for (const [name, value] of Object.entries({ ...expected, 'maxmemory-policy': 'noeviction' })) {
    assert.deepEqual(await command(server, 'CONFIG', 'GET', name), [name, value]);
  }
  await command(server, 'SET', 'row', 'kept');
  await server.process.kill();
  server = await startRedis({ ...options, port: server.port });
  assert.equal(await command(server, 'GET', 'row'), 'kept');
});

test('a port that is in use is named, and another server there is not taken for ours', async (t) => {
  const squatter = createServer((socket) => socket.end('+PONG\r\n')).listen(0, '127.0.0.1');
  await once(squatter, 'listening');
  t.after(() => squatter.close());
  const { port } = squatter.address() as { port: number };
  const program = await locateRedis({ softwareDir });
  const start = startRedis({ program, port, dataDir: join(scratch, 'd2'), logFile: join(scratch, 'r2.log') });
  await assert.rejects(start, { code: 'port_in_use', message: `port ${port} is in use` });
});

function writeProgram(name: string, lines: string): string {
  const path = join(scratch, name);
  writeFileSync(path, `#!/bin/sh\n${lines}\n`);
  chmodSync(path, 0o755);
  return path;
}

test('a server that is too old is passed over for one that a way brings', async () => {
  const old = writeProgram('old-redis', 'echo "Redis server v=6.0.16 sha=0"');
  const current = writeProgram('new-redis', 'echo "Redis server v=7.2.4 sha=0"');
  const told: string[] = [];
  const way = { name: 'test way', progress: 'bringing one', install: () => Promise.resolve(current) };
  const noServerOnPath = join(scratch, 'nothing-here');
  const found = await locateRedis({
    softwareDir,
    env: { PATH: noServerOnPath, MINIODB_REDIS_SERVER: old },
    ways: [way],
    onProgress: (message) => told.push(message),
  });
  assert.equal(found, current);
  assert.deepEqual(told, ['bringing one']);
  await assert.rejects(locateRedis({ softwareDir, env: { PATH: '', MINIODB_REDIS_SERVER: old }, ways: [] }), {
    code: 'redis_not_found',
    message: /old-redis \(MINIODB_REDIS_SERVER\): is version 6\.0\.16.*REDIS_URL/s,
  });
});

test('without a network the reason is what apt-get said, and nothing is left behind', async () => {
  const tools = mkdtempSync(join(scratch, 'tools-'));
  writeFileSync(
    join(tools, 'apt-get'),
    '#!/bin/sh\necho "Reading package lists..."\necho "E: Failed to fetch http://mirror.example/ Could not resolve" >&2\nexit 100\n',
    { mode: 0o755 },
  );
  const target = join(scratch, 'unpacked');
  const locate = locateRedis({
    softwareDir: target,
    env: { PATH: tools },
    ways: [aptUnpack],
  });
  await assert.rejects(locate, {
    message: /apt-get download: apt-get failed: E: Failed to fetch .*Could not resolve/,
  });
  assert.deepEqual(
    readdirSync(scratch).filter((name) => name.startsWith('unpacked')),
    [],
  );
});
