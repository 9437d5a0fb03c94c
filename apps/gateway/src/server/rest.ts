import type { AddressInfo, Socket } from 'node:net';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { Log } from '@miniodb/core/runtime/log.ts';
import Fastify, {
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify';
import type { GatewayApi } from '../api.ts';
import type { ByteBudget } from '../write/budget.ts';
import type { Authentication } from './authenticate.ts';
import { type Problem, presentError, problemOf } from './errors.ts';
import { requestIdOf } from './request-id.ts';
import { requireCaller, userOf } from './rest-caller.ts';
import { addRoutes, type RouteLimits } from './rest-routes.ts';

export interface RestOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly authentication: Authentication;
  /** Told of every call that fails, also of those that never reach the API. @param user empty: nobody known */
  readonly onFailed?: (user: string, error: unknown) => void;
  /** Of a bulk body as it is sent. */
  readonly rowsBytesMax?: number;
  /** Of a bulk body once it is decompressed. */
  readonly textBytesMax?: number;
  /** Of every other body, sent and decompressed. */
  readonly jsonBytesMax?: number;
  /** For the header of a request. */
  readonly headersTimeoutMs?: number;
  /** For a whole request, its body included. */
  readonly requestTimeoutMs?: number;
  /** For the answer, from the end of the request. */
  readonly callTimeoutMs?: number;
  /** Further ones are closed as they come. */
  readonly connectionsMax?: number;
}

export interface RestServer {
  readonly port: number;
  /** Answers no new requests, lets those in work end, and cuts them off after that time. */
  close(graceMs: number): Promise<void>;
}

const ROWS_BYTES_MAX = 64 * 2 ** 20;
const TEXT_BYTES_MAX = 256 * 2 ** 20;
/** A row of at most 8 MiB, and room around it. */
const JSON_BYTES_MAX = 16 * 2 ** 20;
const HEADER_BYTES_MAX = 16 * 1024;
const HEADERS_TIMEOUT_MS = 15_000;
/** 64 MiB in this time are 2 Mbit/s. */
const REQUEST_TIMEOUT_MS = 300_000;
const CALL_TIMEOUT_MS = 300_000;
/** Longer than the usual 60 s of load balancers, so that they close idle connections and not we, under a request. */
const KEEP_ALIVE_TIMEOUT_MS = 75_000;
/** Of some 20 KB each while nothing is asked; half as many again as the writes that may be in work at once. */
const CONNECTIONS_MAX = 15_000;
/** How often Node looks for requests that are over their time. */
const TIMEOUT_CHECK_MS = 2_000;

/** Throws `unavailable`/`listen_failed`. */
export async function openRest(
  api: GatewayApi,
  budget: ByteBudget,
  log: Log,
  options: RestOptions,
): Promise<RestServer> {
  const headersTimeoutMs = options.headersTimeoutMs ?? HEADERS_TIMEOUT_MS;
  const limits: RouteLimits = {
    rowsBytesMax: options.rowsBytesMax ?? ROWS_BYTES_MAX,
    textBytesMax: options.textBytesMax ?? TEXT_BYTES_MAX,
    jsonBytesMax: options.jsonBytesMax ?? JSON_BYTES_MAX,
    callTimeoutMs: options.callTimeoutMs ?? CALL_TIMEOUT_MS,
  };
  const app = Fastify({
    requestTimeout: options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    bodyLimit: limits.jsonBytesMax,
    genReqId: (request) => requestIdOf(request.headers['x-request-id']),
    http: {
      headersTimeout: headersTimeoutMs,
      maxHeaderSize: HEADER_BYTES_MAX,
      connectionsCheckingInterval: Math.min(headersTimeoutMs, TIMEOUT_CHECK_MS),
    },
    // A name of a table that is too long is told so, instead of finding no route.
    routerOptions: { maxParamLength: HEADER_BYTES_MAX },
    clientErrorHandler: answerBrokenRequest,
    frameworkErrors: (error, request, reply) => {
      void sendProblem(reply, problem(error, request, log));
    },
  });
  // Every body is taken as bytes: which types a route takes, and what they mean, the route says itself.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  app.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id);
    done();
  });
  requireCaller(app, options.authentication, options.host);
  app.setErrorHandler((error, request, reply) => {
    options.onFailed?.(userOf(request), classified(error, request));
    return sendProblem(reply, problem(error, request, log));
  });
  app.setNotFoundHandler((request) => {
    throw new MiniodbError('not_found', `no such route: ${request.method} ${request.url}`, {
      code: 'route_not_found',
    });
  });
  addRoutes(app, api, budget, limits);
  app.server.maxConnections = options.connectionsMax ?? CONNECTIONS_MAX;
  await listen(app, options.host, options.port);
  return {
    port: (app.server.address() as AddressInfo).port,
    close: (graceMs) => shutDown(app, graceMs),
  };
}

async function listen(app: FastifyInstance, host: string, port: number): Promise<void> {
  try {
    await app.listen({ host, port });
  } catch (cause) {
    await app.close();
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new MiniodbError('unavailable', `cannot listen on ${host}:${port}: ${reason}`, {
      code: 'listen_failed',
      cause,
    });
  }
}

async function shutDown(app: FastifyInstance, graceMs: number): Promise<void> {
  const late = setTimeout(() => app.server.closeAllConnections(), graceMs);
  try {
    await app.close();
  } finally {
    clearTimeout(late);
  }
}

function problem(thrown: unknown, request: FastifyRequest, log: Log): Problem {
  return problemOf(presentError(classified(thrown, request), request.id, log));
}

function sendProblem(reply: FastifyReply, { status, headers, body }: Problem): FastifyReply {
  return reply.code(status).headers(headers).send(JSON.stringify(body));
}

/** Fastify's own errors, and Node's where a body has ended early; ours and everybody else's pass. */
function classified(thrown: unknown, { raw }: FastifyRequest): unknown {
  if (!isFastifyError(thrown)) {
    if (thrown instanceof MiniodbError || !raw.destroyed || raw.complete) return thrown;
    const message = 'the caller went away before all of the body had come';
    return new MiniodbError('cancelled', message, { code: 'cancelled', cause: thrown });
  }
  const refuse = (code: string, message: string) =>
    new MiniodbError('invalid_argument', message, { code, cause: thrown });
  switch (thrown.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return refuse('body_too_large', 'the body is larger than this route takes');
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return refuse('unsupported_media_type', 'the Content-Type is not valid');
    default:
      return (thrown.statusCode ?? 500) < 500 ? refuse('bad_request', thrown.message) : thrown;
  }
}

function isFastifyError(thrown: unknown): thrown is FastifyError {
  return thrown instanceof Error && 'code' in thrown && String(thrown.code).startsWith('FST_');
}

/** What Node could not read as a request, or did not get in time: there is no reply object to answer with. */
function answerBrokenRequest(error: Error & { code?: string }, socket: Socket): void {
  const { status, headers, body } = problemOf(brokenRequest(error));
  const text = JSON.stringify(body);
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const head = [
    `HTTP/1.1 ${status} ${String(body.code)}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    `content-length: ${Buffer.byteLength(text)}`,
    'connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${text}`);
}

function brokenRequest(cause: Error & { code?: string }): MiniodbError {
  const refuse = (code: string, message: string) =>
    new MiniodbError('invalid_argument', message, { code, cause });
  switch (cause.code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return refuse('request_timeout', 'the request did not arrive in time');
    case 'HPE_HEADER_OVERFLOW':
      return refuse('header_too_large', `the header has more than ${HEADER_BYTES_MAX} bytes`);
    default:
      return refuse('bad_request', 'not an HTTP request');
  }
}
