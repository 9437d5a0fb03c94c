import { createHmac } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newToken } from '@miniodb/core/auth/token.ts';
import { TokenStore } from '@miniodb/core/auth/token-store.ts';
import type { ClusterOptions } from '@miniodb/local/cluster.ts';
import { startTestCluster, type TestCluster } from '@miniodb/testkit/cluster.ts';

/** Users of the sample configuration, and more: a logger, and two tenants by pattern. */
export const USERS = [
  'service-user-001',
  'service-order-001',
  'analyst-001',
  'admin-001',
  'logger-001',
  'acme-001',
  'globex-001',
] as const;
export type User = (typeof USERS)[number];

export const JWT_SECRET = 'a secret of more than thirty-two bytes';

const CONFIG = `
tables:
  users:  { buffer_size: 2000, flush_interval: 60s }
  orders: { buffer_size: 5000, flush_interval: 10s }
  logs:   { buffer_size: 10000, flush_interval: 5s }
permissions:
  enabled: true
  roles:
    admin: ["table:*:*"]
    user_service: ["table:users:read", "table:users:write"]
    order_service: ["table:orders:read", "table:orders:write", "table:users:read"]
    analyst: ["table:*:read"]
    logger: ["table:logs:write"]
    acme: ["table:acme_*:*"]
    globex: ["table:globex_*:*"]
  users:
    service-user-001: [user_service]
    service-order-001: [order_service]
    analyst-001: [analyst]
    admin-001: [admin]
    logger-001: [logger]
    acme-001: [acme]
    globex-001: [globex]
auth:
  jwt: { algorithm: HS256, secret: "${JWT_SECRET}", issuer: tests, audience: miniodb }
`;

export interface Answer {
  readonly status: number;
  /** Empty for a success. */
  readonly code: string;
  readonly text: string;
  readonly body: Record<string, unknown>;
}

export interface GuardedCluster extends TestCluster {
  /** A good API token of each. */
  readonly tokens: Readonly<Record<User, string>>;
  /** A further one, straight into Redis. */
  newToken(user: string, lifeMs?: number): Promise<{ readonly id: string; readonly token: string }>;
  /** @param token undefined: no Authorization at all */
  call(token: string | undefined, method: string, path: string, body?: unknown): Promise<Answer>;
  /** The same, of the second gateway. */
  callOther(token: string | undefined, method: string, path: string, body?: unknown): Promise<Answer>;
}

/** A cluster of two gateways with permissions on. */
export async function startGuardedCluster(options: Partial<ClusterOptions> = {}): Promise<GuardedCluster> {
  const scratch = await mkdtemp(join(tmpdir(), 'miniodb-guarded-'));
  const configFile = join(scratch, 'config.yaml');
  await writeFile(configFile, CONFIG);
  const cluster = await startTestCluster({ configFile, gateways: 2, flushers: 1, ...options });
  const store = new TokenStore(cluster.redis);
  const make = async (user: string, lifeMs?: number) => {
    const nowMs = Date.now();
    const expiresMs = lifeMs === undefined ? undefined : nowMs + lifeMs;
    const made = newToken({ user, createdMs: nowMs, expiresMs });
    await store.add(made);
    return made;
  };
  const tokens = Object.fromEntries(
    await Promise.all(USERS.map(async (user) => [user, (await make(user)).token])),
  ) as Record<User, string>;
  const otherPort = cluster.cluster.member('gateway-2').ports.rest_port;
  return {
    ...cluster,
    tokens,
    newToken: make,
    call: (token, method, path, body) => call(cluster.restUrl, token, method, path, body),
    callOther: (token, method, path, body) =>
      call(`http://127.0.0.1:${otherPort}`, token, method, path, body),
    async stop() {
      await cluster.stop();
      await rm(scratch, { recursive: true, force: true });
    },
  };
}

async function call(
  restUrl: string,
  token: string | undefined,
  method: string,
  path: string,
  body?: unknown,
): Promise<Answer> {
  const response = await fetch(`${restUrl}${path}`, {
    method,
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  const parsed = text === '' ? {} : (JSON.parse(text) as Record<string, unknown>);
  return { status: response.status, code: response.ok ? '' : String(parsed.code), text, body: parsed };
}

/** A JWT that is signed as told, whatever it says. */
export function craftJwt(header: object, payload: object, secret: string, hash = 'sha256'): string {
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url');
  const input = `${encode(header)}.${encode(payload)}`;
  return `${input}.${createHmac(hash, secret).update(input).digest('base64url')}`;
}

/** @param changed over the claims of a good one of the analyst */
export function jwtOf(changed: object = {}): string {
  const nowSeconds = Math.floor(Date.now() / 1_000);
  const claims = {
    iss: 'tests',
    aud: 'miniodb',
    sub: 'analyst-001',
    nbf: nowSeconds - 60,
    exp: nowSeconds + 60,
  };
  return craftJwt({ alg: 'HS256' }, { ...claims, ...changed }, JWT_SECRET);
}
