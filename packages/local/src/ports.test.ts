import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { freePort, isPortFree, LOOPBACK } from './ports.ts';

test('a free port can be listened on, and is not free while somebody does', async () => {
  const port = await freePort();
  assert.equal(await isPortFree(port), true);
  const server = createServer().listen(port, LOOPBACK);
  await once(server, 'listening');
  assert.equal(await isPortFree(port), false);
  server.close();
  await once(server, 'close');
  assert.equal(await isPortFree(port), true);
});
