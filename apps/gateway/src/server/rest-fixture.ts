import assert from 'node:assert/strict';
import { after } from 'node:test';
import { silentLog } from '@miniodb/core/runtime/log.ts';
import { ByteBudget } from '../write/budget.ts';
import { EVERYBODY } from './authenticate.ts';
import { RecordingApi } from './recording-api.ts';
import { openRest, type RestOptions } from './rest.ts';

type RequestBody = NonNullable<RequestInit['body']>;

const opened: { close(graceMs: number): Promise<void> }[] = [];
after(async () => {
  for (const server of opened) await server.close(0);
});

/** A server over a recording api, and a client of it; closed after the file's last test. */
export async function serve(
  options: Partial<RestOptions> = {},
  budget: ByteBudget = new ByteBudget(Number.MAX_SAFE_INTEGER),
) {
  const api = new RecordingApi();
  const server = await openRest(api, budget, silentLog(), {
    host: '127.0.0.1',
    port: 0,
    authentication: EVERYBODY,
    ...options,
  });
  opened.push(server);
  const base = `http://127.0.0.1:${server.port}`;
  const send = async (path: string, init: RequestInit = {}) => {
    const response = await fetch(base + path, { method: 'POST', ...init });
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      body: text === '' ? undefined : JSON.parse(text),
    };
  };
  const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
    send(path, {
      body:
        typeof body === 'string' || body instanceof Uint8Array ? (body as RequestBody) : JSON.stringify(body),
      headers: { 'content-type': 'application/json', ...headers },
    });
  return { api, budget, server, send, post };
}

/** The members that every problem has, and their consistency. */
export function assertProblem(
  answer: { status: number; headers: Headers; body: Record<string, unknown> },
  status: number,
  code: string,
) {
  assert.equal(answer.body.code, code, JSON.stringify(answer.body));
  assert.equal(answer.status, status);
  assert.equal(answer.headers.get('content-type'), 'application/problem+json; charset=utf-8');
  assert.deepEqual([answer.body.status, answer.body.success], [status, false]);
  assert.equal(answer.body.type, `urn:miniodb:error:${code}`);
  for (const member of ['title', 'message', 'detail']) assert.equal(typeof answer.body[member], 'string');
  assert.ok(!JSON.stringify(answer.body).includes('.ts:'), 'a stack trace is in the answer');
}
