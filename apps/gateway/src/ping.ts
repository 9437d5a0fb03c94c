import type { Redis } from '@miniodb/core/redis/client.ts';

const TIMEOUT_MS = 1_000;
const MAX_AGE_MS = 1_000;

export type PingResult = 'ok' | 'no answer' | 'unavailable';

/**
 * Whether Redis answers, asked at most once a second however many ask here: health is open to strangers. Why it does not
 * answer, they are not told.
 */
export function sharedPing(
  redis: Pick<Redis, 'ping'>,
  nowMs = () => performance.now(),
): () => Promise<PingResult> {
  let asking: Promise<PingResult> | undefined;
  let askedAtMs = 0;
  return () => {
    if (asking === undefined || nowMs() - askedAtMs >= MAX_AGE_MS) {
      askedAtMs = nowMs();
      asking = ping(redis);
    }
    return asking;
  };
}

async function ping(redis: Pick<Redis, 'ping'>): Promise<PingResult> {
  const timeout = Promise.withResolvers<PingResult>();
  const timer = setTimeout(() => timeout.resolve('no answer'), TIMEOUT_MS);
  const answer = redis.ping().then(
    (): PingResult => 'ok',
    (): PingResult => 'unavailable',
  );
  const result = await Promise.race([answer, timeout.promise]);
  clearTimeout(timer);
  return result;
}
