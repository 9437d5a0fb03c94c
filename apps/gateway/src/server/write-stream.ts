import { MiniodbError } from '@miniodb/core/runtime/errors.ts';

/** Enough to keep a group commit busy while another is answered; each may be a request of 64 MiB. */
const IN_WORK_MAX = 4;

/**
 * Answers a stream of requests, in order, with a few of them in work at once. Nothing more is read while as many are in
 * work, or while the client does not take its answers: then the client cannot send.
 *
 * The first request that fails ends the stream with what it failed with, after the answers to those before it; those after
 * it that were in work are given up. When `draining` fires, what is in work is answered, then the stream ends with
 * `unavailable`/`draining`, and nothing else was begun.
 */
export async function* answerInOrder<Request, Answer>(
  requests: AsyncIterable<Request>,
  answer: (request: Request, signal: AbortSignal) => Promise<Answer>,
  signals: { readonly call: AbortSignal; readonly draining: AbortSignal },
): AsyncGenerator<Answer> {
  const { call, draining } = signals;
  const iterator = requests[Symbol.asyncIterator]();
  const giveUp = new AbortController();
  const inWork = AbortSignal.any([call, giveUp.signal]);
  /** Oldest first. */
  const answers: Promise<Answer>[] = [];
  let next: Promise<IteratorResult<Request>> | undefined;
  let isEnded = false;
  // A new one for every wait: a stream may live for days, and what waits for a promise is kept as long as that is.
  let woken = Promise.withResolvers<undefined>();
  const wake = () => woken.resolve(undefined);
  draining.addEventListener('abort', wake, { once: true });
  try {
    for (;;) {
      call.throwIfAborted();
      const mayRead = !isEnded && !draining.aborted && answers.length < IN_WORK_MAX;
      if (mayRead) next ??= watched(iterator.next());
      else if (answers.length === 0) break;
      woken = Promise.withResolvers();
      const event = await Promise.race([
        ...(mayRead ? [arrivalOf(next!)] : []),
        ...answers.slice(0, 1).map(async (oldest) => ({ answered: await oldest })),
        woken.promise,
      ]);
      if (event === undefined) continue;
      if ('answered' in event) {
        void answers.shift();
        yield event.answered;
        continue;
      }
      next = undefined;
      if (event.read?.done === true) isEnded = true;
      // What cannot be read fails in its turn, after the answers to what came before it.
      else if (event.read === undefined) answers.push(watched(Promise.reject(event.failure as Error)));
      else answers.push(watched(answer(event.read.value, inWork)));
    }
    if (!isEnded) throw shuttingDown();
  } finally {
    draining.removeEventListener('abort', wake);
    giveUp.abort(givenUp());
    await Promise.allSettled(answers);
  }
}

function arrivalOf<Request>(next: Promise<IteratorResult<Request>>) {
  return next.then(
    (read) => ({ read, failure: undefined }),
    (failure: unknown) => ({ read: undefined, failure }),
  );
}

/** Its failure is looked at later; until then it is not nobody's. */
function watched<Value>(promise: Promise<Value>): Promise<Value> {
  promise.catch(() => {});
  return promise;
}

function shuttingDown(): MiniodbError {
  return new MiniodbError(
    'unavailable',
    'this gateway is shutting down: requests that were not answered were not begun; send them on a new stream',
    { code: 'draining', retryAfterMs: 1_000 },
  );
}

function givenUp(): MiniodbError {
  return new MiniodbError('cancelled', 'an earlier request of the stream failed', { code: 'cancelled' });
}
