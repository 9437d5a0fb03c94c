import { Readable } from 'node:stream';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { watchPace } from '@miniodb/core/runtime/pace.ts';
import type { FastifyReply, FastifyRequest, preParsingAsyncHookHandler } from 'fastify';
import type { ByteBudget, Share } from '../write/budget.ts';

export type WriteHandler = (request: FastifyRequest, reply: FastifyReply, share: Share) => Promise<unknown>;

/** Bodies of at most this count from the header on, which spares single rows a stream that counts. */
const COUNTED_AT_ONCE_BYTES_MAX = 16_384;

/**
 * The parts of a route whose bodies count against the budget as they arrive, until the call has ended. What a header
 * announces is no memory yet: counting that would let who sends headers alone keep everybody else from writing.
 */
export function underBudget(budget: ByteBudget, bodyLimit: number, handler: WriteHandler) {
  const shares = new WeakMap<FastifyRequest, Share>();
  const inWork = new WeakSet<FastifyRequest>();
  const preParsing: preParsingAsyncHookHandler = async (request, reply, payload) => {
    if (isCountedAtOnce(request)) return payload;
    const onFailed = () => {
      reply.header('connection', 'close');
    };
    return Readable.from(counted(payload, shares.get(request)!, onFailed), { objectMode: false });
  };
  return {
    admit(request: FastifyRequest, reply: FastifyReply): void {
      const share = budget.open();
      shares.set(request, share);
      // The end of calls that never reach the handler: refused, broken off, or too slow.
      reply.raw.once('close', () => {
        if (!inWork.has(request)) share.release();
      });
      const bytes = Number(request.headers['content-length'] ?? 0);
      if (isCountedAtOnce(request)) share.take(bytes);
      // Longer ones are refused without being read.
      else if (bytes <= bodyLimit) share.requireRoom(bytes);
    },
    preParsing,
    async handler(request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
      const share = shares.get(request)!;
      // The client may go away now, but the memory stays in use until the work ends.
      inWork.add(request);
      try {
        return await handler(request, reply, share);
      } finally {
        share.release();
      }
    },
  };
}

function isCountedAtOnce({ headers }: FastifyRequest): boolean {
  return Number(headers['content-length'] ?? Number.POSITIVE_INFINITY) <= COUNTED_AT_ONCE_BYTES_MAX;
}

async function* counted(
  payload: AsyncIterable<Uint8Array>,
  share: Share,
  onFailed: () => void,
): AsyncGenerator<Uint8Array> {
  const slow = Promise.withResolvers<never>();
  // Where nobody waits for it when it comes.
  slow.promise.catch(() => {});
  const pace = watchPace(() => slow.reject(tooSlow()));
  const chunks = payload[Symbol.asyncIterator]();
  let hasAll = false;
  try {
    for (;;) {
      const chunk = await Promise.race([chunks.next(), slow.promise]);
      if (chunk.done === true) break;
      share.take(chunk.value.length);
      pace.arrived(chunk.value.length);
      yield chunk.value;
    }
    hasAll = true;
  } catch (error) {
    onFailed();
    throw error;
  } finally {
    pace.end();
    // Not waited for: it would wait for the bytes that do not come.
    if (!hasAll) chunks.return?.().catch(() => {});
  }
}

function tooSlow(): MiniodbError {
  return new MiniodbError('deadline_exceeded', 'the body comes too slowly', { code: 'request_timeout' });
}
