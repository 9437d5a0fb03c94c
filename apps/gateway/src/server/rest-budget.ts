import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest, preParsingAsyncHookHandler } from 'fastify';
import type { ByteBudget, Share } from '../write/budget.ts';

export type WriteHandler = (request: FastifyRequest, reply: FastifyReply, share: Share) => Promise<unknown>;

/**
 * The parts of a route whose bodies count against the budget: from the header on, or as they arrive when the header
 * does not say how long they are, until the call has ended.
 */
export function underBudget(budget: ByteBudget, bodyLimit: number, handler: WriteHandler) {
  const shares = new WeakMap<FastifyRequest, Share>();
  const inWork = new WeakSet<FastifyRequest>();
  const preParsing: preParsingAsyncHookHandler = async (request, _reply, payload) =>
    request.headers['content-length'] === undefined
      ? Readable.from(counted(payload, shares.get(request)!), { objectMode: false })
      : payload;
  return {
    admit(request: FastifyRequest, reply: FastifyReply): void {
      const share = budget.open();
      shares.set(request, share);
      // The end of calls that never reach the handler: refused, broken off, or too slow.
      reply.raw.once('close', () => {
        if (!inWork.has(request)) share.release();
      });
      const bytes = Number(request.headers['content-length'] ?? 0);
      // Longer ones are refused without being read.
      if (bytes <= bodyLimit) share.take(bytes);
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

async function* counted(payload: AsyncIterable<Uint8Array>, share: Share): AsyncGenerator<Uint8Array> {
  for await (const chunk of payload) {
    share.take(chunk.length);
    yield chunk;
  }
}
