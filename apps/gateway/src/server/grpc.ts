import { ANONYMOUS, type Principal } from '@miniodb/core/auth/principal.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { Log } from '@miniodb/core/runtime/log.ts';
import { decodeStrict } from '@miniodb/proto/decode.ts';
import {
  OlapServiceService,
  QueryRequest,
  type WriteBatchResponse,
} from '@miniodb/proto/gen/olap/v1/olap.ts';
import { type GrpcServer, openGrpcServer } from '@miniodb/proto/server.ts';
import { type Handlers, implementService, type ServerCall } from '@miniodb/proto/service.ts';
import type { BatchReceipt, CallContext, GatewayApi } from '../api.ts';
import { type ByteBudget, OBJECTS_FACTOR } from '../write/budget.ts';
import { ackToWire } from './ack.ts';
import type { Authentication } from './authenticate.ts';
import { presentError } from './errors.ts';
import { admitCallers } from './grpc-admit.ts';
import { BACKUP_SERVICE, backupHandlers } from './grpc-backup.ts';
import { decodeWrite, decodeWriteBatch } from './grpc-rows.ts';
import { refusable, TABLES_SERVICE, tableHandlers } from './grpc-tables.ts';
import { healthResponse } from './health.ts';
import { requestIdOf } from './request-id.ts';
import { answerInOrder } from './write-stream.ts';

export interface GatewayGrpcOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly authentication: Authentication;
  /** Told of every call that fails, also of those that never reach the API. */
  readonly onFailed?: (user: string, error: unknown) => void;
  readonly messageBytesMax?: number;
  readonly concurrentStreamsMax?: number;
  /** Of one batch's NDJSON once it is decompressed. */
  readonly textBytesMax?: number;
}

const TEXT_BYTES_MAX = 256 * 2 ** 20;

/**
 * olap.v1 over the gateway's API, with health and reflection. Requests arrive as bytes where their form is decided
 * here (writes), and with UTF-8 checked where they carry text that must not change on the way.
 */
const GATEWAY_SERVICE = {
  ...OlapServiceService,
  write: { ...OlapServiceService.write, requestDeserialize: (bytes: Buffer): Buffer => bytes },
  writeBatch: { ...OlapServiceService.writeBatch, requestDeserialize: (bytes: Buffer): Buffer => bytes },
  writeStream: { ...OlapServiceService.writeStream, requestDeserialize: (bytes: Buffer): Buffer => bytes },
  query: {
    ...OlapServiceService.query,
    requestDeserialize: (bytes: Buffer) => decodeStrict(QueryRequest, bytes),
  },
  ...TABLES_SERVICE,
  ...BACKUP_SERVICE,
};

type GatewayHandlers = Handlers<typeof GATEWAY_SERVICE>;

/** It serves at once; health says so from the first `setServing(true)`. */
export async function openGatewayGrpc(
  api: GatewayApi,
  budget: ByteBudget,
  log: Log,
  options: GatewayGrpcOptions,
): Promise<GrpcServer> {
  const { authentication } = options;
  const contexts = new WeakMap<ServerCall, CallContext>();
  const contextOf = (call: ServerCall): CallContext => {
    let context = contexts.get(call);
    if (context === undefined) {
      context = {
        principal: callerOf(call, authentication),
        requestId: requestIdOf(call.metadata('x-request-id')),
        signal: call.signal,
        deadlineMs: call.deadlineMs,
      };
      contexts.set(call, context);
    }
    return context;
  };
  const draining = new AbortController();
  // Streams outlive what callers prove themselves with: it is asked for again at every request, and caches answer.
  const checkCaller = async (call: ServerCall): Promise<void> => {
    if (authentication.isRequired) await authentication.principalOf(call.metadata('authorization'));
  };
  const streams = { checkCaller, draining: draining.signal };
  const handlers = gatewayHandlers(api, budget, contextOf, options.textBytesMax ?? TEXT_BYTES_MAX, streams);
  const service = implementService(GATEWAY_SERVICE, handlers, (error, call) => {
    const { principal, requestId } = contextOf(call);
    options.onFailed?.(principal.user, error);
    return presentError(error, requestId, log);
  });
  const server = await openGrpcServer({
    ...options,
    services: [service],
    healthOf: ['olap.v1.OlapService'],
    reflection: true,
    admit: admitCallers(authentication, budget, log, options.onFailed),
  });
  return {
    ...server,
    close: (graceMs) => {
      draining.abort();
      return server.close(graceMs);
    },
  };
}

/** What streams of writes need beside each write. */
interface Streams {
  /** Throws when the caller is not let in any more. */
  checkCaller(call: ServerCall): Promise<void>;
  readonly draining: AbortSignal;
}

function callerOf({ admission }: ServerCall, { isRequired }: Authentication): Principal {
  if (!isRequired) return ANONYMOUS;
  if (admission !== undefined) return admission as Principal;
  throw new MiniodbError('internal', 'the caller of a call was not asked for', { code: 'caller_not_asked' });
}

function gatewayHandlers(
  api: GatewayApi,
  budget: ByteBudget,
  contextOf: (call: ServerCall) => CallContext,
  textBytesMax: number,
  streams: Streams,
): GatewayHandlers {
  const writeBatch = (bytes: Buffer, context: CallContext, checked?: () => Promise<void>) =>
    budget.hold(bytes.length, async (share) => {
      await checked?.();
      const { input, complete } = await decodeWriteBatch(bytes, textBytesMax, share);
      return batchResponse(complete(await api.writeBatch(input, { ...context, bodyBytes: bytes.length })));
    });
  return {
    write: (bytes, call) =>
      budget.hold(bytes.length * OBJECTS_FACTOR, async () => {
        const { table, row } = decodeWrite(bytes);
        return refusable(api.writeRow(table, row, { ...contextOf(call), bodyBytes: bytes.length }));
      }),
    writeBatch: (bytes, call) => writeBatch(bytes, contextOf(call)),
    writeStream: (requests, call) => {
      const context = contextOf(call);
      let count = 0;
      const answer = async (bytes: Buffer, signal: AbortSignal) => {
        count += 1;
        const requestId = `${context.requestId}.${count}`;
        return writeBatch(bytes, { ...context, requestId, signal }, () => streams.checkCaller(call));
      };
      return answerInOrder(requests, answer, { call: call.signal, draining: streams.draining });
    },
    query: async ({ sql }, call) => {
      const { resultJson } = await api.query({ sql, params: [] }, contextOf(call));
      return { result_json: resultJson };
    },
    ...tableHandlers(api, contextOf),
    healthCheck: async (_request, call) => healthResponse(await api.health(contextOf(call)), new Date()),
    ...backupHandlers(api, contextOf),
    queryStream: unimplementedStream('QueryStream'),
  };
}

function batchResponse(receipt: BatchReceipt): WriteBatchResponse {
  return {
    accepted: BigInt(receipt.accepted),
    rejected: BigInt(receipt.rejected),
    errors: receipt.errors.map((error) => ({ ...error, index: BigInt(error.index) })),
    duplicate: receipt.duplicate,
    position: receipt.position,
    ack: ackToWire(receipt.ack),
    batch_id: receipt.batchId,
  };
}

function unimplemented(method: string): () => Promise<never> {
  return async () => {
    throw notThere(method);
  };
}

function unimplementedStream(method: string): () => AsyncIterable<never> {
  return () => ({
    [Symbol.asyncIterator]: () => ({ next: unimplemented(method) }),
  });
}

function notThere(method: string): MiniodbError {
  return new MiniodbError('unimplemented', `${method} is not implemented by this version`, {
    code: 'unimplemented',
  });
}
