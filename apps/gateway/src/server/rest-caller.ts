import { NOBODY, type Principal } from '@miniodb/core/auth/principal.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Authentication } from './authenticate.ts';
import { requireOwnOrigin } from './rest-origin.ts';

/** Load balancers have no credentials. */
const OPEN_ROUTES: ReadonlySet<string | undefined> = new Set(['/v1/health']);
/** Of a refused body: a smaller one is read and thrown away, so that the client surely sees the answer. */
const DISCARDED_BYTES_MAX = 1_048_576;

const callers = new WeakMap<FastifyRequest, Principal>();

/**
 * Lets nobody past the header without credentials: before routes look at it, before a body is read, and also where
 * there is no route, as which ones there are is no business of strangers.
 * @param host that the server listens on
 */
export function requireCaller(app: FastifyInstance, authentication: Authentication, host: string): void {
  app.addHook('onRequest', async (request, reply) => {
    if (OPEN_ROUTES.has(request.routeOptions.url)) {
      callers.set(request, NOBODY);
      return;
    }
    try {
      if (!authentication.isRequired) requireOwnOrigin(request, host);
      const { authorization } = request.headers;
      callers.set(request, await authentication.principalOf(authorization, request.socket.remoteAddress));
    } catch (error) {
      leaveBodyUnread(request, reply);
      throw error;
    }
  });
}

/** Who calls. A request that has not passed `requireCaller` has none, and is not answered. */
export function callerOf(request: FastifyRequest): Principal {
  const caller = callers.get(request);
  if (caller !== undefined) return caller;
  throw new MiniodbError('internal', 'the caller of a request was not asked for', {
    code: 'caller_not_asked',
  });
}

/** For the audit; empty where nobody has been let in. */
export function userOf(request: FastifyRequest): string {
  return callers.get(request)?.user ?? '';
}

/** For a call that is refused by its header. */
export function leaveBodyUnread({ headers }: FastifyRequest, reply: FastifyReply): void {
  const isChunked = headers['transfer-encoding'] !== undefined;
  if (isChunked || Number(headers['content-length'] ?? 0) > DISCARDED_BYTES_MAX)
    reply.header('connection', 'close');
}
