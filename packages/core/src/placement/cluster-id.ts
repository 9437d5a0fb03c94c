import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import type { Redis } from '../redis/client.ts';
import { classifyRedisError } from '../redis/errors.ts';
import { MiniodbError } from '../runtime/errors.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { sha256Of } from '../storage/sha256.ts';
import { GLOBAL_KEYS } from '../table/keys.ts';

/**
 * Which history this is: 128 random bits that Redis and the bucket both hold. Where they differ, Redis says nothing about
 * the bucket's objects, and nothing that it says may be answered, flushed or deleted by.
 *
 * Redis has it first, as `new`, then the bucket, then Redis as `known`: dead in between, whoever starts next goes on.
 */
export const CLUSTER_ID_OBJECT = '~cluster/id.json';

const ID_BYTES = 16;
const REDIS_ID = /^([0-9a-f]{32}) (\d{1,16}) (new|known)$/;
const bucketIdSchema = z.object({
  v: z.literal(1),
  id: z.string().regex(/^[0-9a-f]{32}$/),
  /** RFC 3339. */
  created: z.iso.datetime(),
});

/** As Redis has it, at GLOBAL_KEYS.cluster: `<id> <created ms> new|known`. */
export interface RedisId {
  readonly id: string;
  readonly createdMs: number;
  /** The bucket was seen to have it. */
  readonly isKnown: boolean;
}

export type Verdict =
  | { readonly status: 'known'; readonly id: string }
  /** The bucket is of another history, or Redis has forgotten its own. @see idOf the bucket's id, where it has one */
  | { readonly status: 'redis_history_lost'; readonly id: string | undefined }
  /** Redis' bucket had an id, and this one has none. */
  | { readonly status: 'bucket_unknown' };

export async function readRedisId(redis: Redis): Promise<RedisId | undefined> {
  let text: string | null;
  try {
    text = await redis.get(GLOBAL_KEYS.cluster);
  } catch (error) {
    throw classifyRedisError(error);
  }
  if (text === null) return undefined;
  const match = REDIS_ID.exec(text);
  if (match === null) throw unreadable(GLOBAL_KEYS.cluster, text);
  return { id: match[1]!, createdMs: Number(match[2]), isKnown: match[3] === 'known' };
}

async function readBucketId(store: ObjectStore, signal: AbortSignal): Promise<string | undefined> {
  let body: Uint8Array;
  try {
    body = await store.get(CLUSTER_ID_OBJECT, { signal });
  } catch (error) {
    if (error instanceof MiniodbError && error.code === 'object_not_found') return undefined;
    throw error;
  }
  const text = Buffer.from(body).toString('utf8');
  try {
    return bucketIdSchema.parse(JSON.parse(text)).id;
  } catch {
    throw unreadable(CLUSTER_ID_OBJECT, text);
  }
}

type Step = 'make' | 'tell_bucket' | 'confirm' | 'known' | 'redis_history_lost' | 'bucket_unknown';

/** What two readings mean. */
export function judge(inRedis: RedisId | undefined, inBucket: string | undefined): Step {
  if (inRedis === undefined) return inBucket === undefined ? 'make' : 'redis_history_lost';
  if (inBucket === undefined) return inRedis.isKnown ? 'bucket_unknown' : 'tell_bucket';
  if (inBucket !== inRedis.id) return 'redis_history_lost';
  return inRedis.isKnown ? 'known' : 'confirm';
}

/** Between two readings somebody may have made the id: what is wrong must be so twice. */
const BAD_READINGS_MIN = 2;
const STEPS_MAX = 10;

/**
 * Compares Redis' id with the bucket's. Repeatable, and several may do it at once. Throws when one cannot be read;
 * `failed_precondition`/`cluster_id_unreadable` for what is there and is no id.
 * @param mayMake whether an id is made where neither has one: at a start, not under way
 */
export async function settleClusterId(
  redis: Redis,
  store: ObjectStore,
  mayMake: boolean,
  signal: AbortSignal,
): Promise<Verdict> {
  for (let step = 0, bad = 0; step < STEPS_MAX; step += 1) {
    const inRedis = await readRedisId(redis);
    const inBucket = await readBucketId(store, signal);
    const next = judge(inRedis, inBucket);
    switch (next) {
      case 'make':
        if (!mayMake) return { status: 'redis_history_lost', id: undefined };
        await setRedisId(redis, newId(), 'NX');
        break;
      case 'tell_bucket':
        await putBucketId(store, inRedis!, signal);
        break;
      case 'confirm':
        await setRedisId(redis, { ...inRedis!, isKnown: true }, 'XX');
        break;
      case 'known':
        return { status: next, id: inBucket! };
      case 'redis_history_lost':
      case 'bucket_unknown':
        bad += 1;
        if (bad < BAD_READINGS_MIN) break;
        return next === 'bucket_unknown' ? { status: next } : { status: next, id: inBucket };
    }
  }
  throw new MiniodbError('unavailable', 'the cluster id changes while it is read', {
    code: 'cluster_id_contended',
    retryAfterMs: 1_000,
  });
}

function newId(): RedisId {
  return { id: randomBytes(ID_BYTES).toString('hex'), createdMs: Date.now(), isKnown: false };
}

async function setRedisId(
  redis: Redis,
  { id, createdMs, isKnown }: RedisId,
  how: 'NX' | 'XX',
): Promise<void> {
  const text = `${id} ${createdMs} ${isKnown ? 'known' : 'new'}`;
  try {
    if (how === 'NX') await redis.set(GLOBAL_KEYS.cluster, text, 'NX');
    else await redis.set(GLOBAL_KEYS.cluster, text, 'XX');
  } catch (error) {
    throw classifyRedisError(error);
  }
}

/** The same bytes whoever writes them. */
async function putBucketId(
  store: ObjectStore,
  { id, createdMs }: RedisId,
  signal: AbortSignal,
): Promise<void> {
  const body = Buffer.from(`${JSON.stringify({ v: 1, id, created: new Date(createdMs).toISOString() })}\n`);
  await store.put(CLUSTER_ID_OBJECT, body, {
    sha256: sha256Of(body),
    contentType: 'application/json',
    signal,
  });
}

function unreadable(where: string, text: string): MiniodbError {
  return new MiniodbError('failed_precondition', `${where} holds no cluster id: ${text.slice(0, 100)}`, {
    code: 'cluster_id_unreadable',
  });
}

export function historyLost(): MiniodbError {
  return new MiniodbError(
    'failed_precondition',
    'this Redis does not know this bucket: Redis has lost its data, or is another one. Nothing is answered, flushed or deleted until its own data are restored',
    { code: 'redis_history_lost' },
  );
}

export function bucketUnknown(): MiniodbError {
  return new MiniodbError(
    'failed_precondition',
    `this bucket is not the one that Redis knows: it has no ${CLUSTER_ID_OBJECT}. Nothing is answered, flushed or deleted until the right bucket is configured, or restored`,
    { code: 'bucket_unknown' },
  );
}
