import { ANONYMOUS, NOBODY, type Principal } from '@miniodb/core/auth/principal.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { Log } from '@miniodb/core/runtime/log.ts';
import type { Admit } from '@miniodb/proto/admission.ts';
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
import { decodeWrite, decodeWriteBatch } from './grpc-rows.ts';
import { refusable, TABLES_SERVICE, tableHandlers } from './grpc-tables.ts';
import { healthResponse } from './health.ts';
import { requestIdOf } from './request-id.ts';

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
  query: {
    ...OlapServiceService.query,
    requestDeserialize: (bytes: Buffer) => decodeStrict(QueryRequest, bytes),
  },
  ...TABLES_SERVICE,
};

type GatewayHandlers = Handlers<typeof GATEWAY_SERVICE>;

/** It serves at once; health says so from the first `setServing(true)`. */
export function openGatewayGrpc(
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
      };
      contexts.set(call, context);
    }
    return context;
  };
  const handlers = gatewayHandlers(api, budget, contextOf, options.textBytesMax ?? TEXT_BYTES_MAX);
  const service = implementService(GATEWAY_SERVICE, handlers, (error, call) => {
    const { principal, requestId } = contextOf(call);
    options.onFailed?.(principal.user, error);
    return presentError(error, requestId, log);
  });
  return openGrpcServer({
    ...options,
    services: [service],
    healthOf: ['olap.v1.OlapService'],
    reflection: true,
    ...(authentication.isRequired ? { admit: admitCallers(authentication, log) } : {}),
  });
}

/** Methods for everybody: load balancers have no credentials, and what reflection tells is public. */
const OPEN_METHODS = /^\/(olap\.v1\.OlapService\/HealthCheck$|grpc\.health\.v1\.Health\/|grpc\.reflection\.)/;

function admitCallers(authentication: Authentication, log: Log): Admit {
  return async ({ path, metadata }) => {
    if (OPEN_METHODS.test(path)) return NOBODY;
    try {
      return await authentication.principalOf(metadata('authorization'));
    } catch (error) {
      throw presentError(error, requestIdOf(metadata('x-request-id')), log);
    }
  };
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
): GatewayHandlers {
  return {
    write: (bytes, call) =>
      budget.hold(bytes.length * OBJECTS_FACTOR, async () => {
        const { table, row } = decodeWrite(bytes);
        return refusable(api.writeRow(table, row, { ...contextOf(call), bodyBytes: bytes.length }));
      }),
    writeBatch: (bytes, call) =>
      budget.hold(bytes.length, async (share) => {
        const { input, complete } = await decodeWriteBatch(bytes, textBytesMax, share);
        const context = { ...contextOf(call), bodyBytes: bytes.length };
        return batchResponse(complete(await api.writeBatch(input, context)));
      }),
    query: async ({ sql }, call) => {
      const { resultJson } = await api.query({ sql, params: [] }, contextOf(call));
      return { result_json: resultJson };
    },
    ...tableHandlers(api, contextOf),
    healthCheck: async (_request, call) => healthResponse(await api.health(contextOf(call)), new Date()),
    triggerBackup: unimplemented('TriggerBackup'),
    recoverData: unimplemented('RecoverData'),
    writeStream: unimplementedStream('WriteStream'),
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
