import {
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  credentials,
  Metadata,
} from '@grpc/grpc-js';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { QuerierServiceService } from './gen/miniodb/internal/v1/querier.ts';
import { OlapServiceService } from './gen/olap/v1/olap.ts';
import type { RequestOf, ResponseOf, Service } from './service.ts';
import { type FailedCall, statusToError } from './status.ts';

export interface ClientOptions {
  /** Of one message, either way. */
  readonly messageBytesMax?: number;
  /** Of a call that sets none. */
  readonly deadlineMs?: number;
}

export interface CallOptions {
  /** From now on. */
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
  readonly metadata?: Readonly<Record<string, string>>;
}

type Call<M> = M extends { requestStream: true }
  ? (requests: AsyncIterable<RequestOf<M>>, options?: CallOptions) => AsyncIterable<ResponseOf<M>>
  : M extends { responseStream: true }
    ? (request: RequestOf<M>, options?: CallOptions) => AsyncIterable<ResponseOf<M>>
    : (request: RequestOf<M>, options?: CallOptions) => Promise<ResponseOf<M>>;

/**
 * Calls throw MiniodbError: the server's own, or one about the connection. After `deadline_exceeded`, `cancelled` and
 * `outcome_unknown` a write may or may not have been done. Leaving an answer's iteration early cancels the call.
 */
export type ServiceClient<S extends Service> = { readonly [Name in keyof S]: Call<S[Name]> } & {
  close(): void;
};

export type OlapClient = ServiceClient<typeof OlapServiceService>;
export type QuerierClient = ServiceClient<typeof QuerierServiceService>;

const MESSAGE_BYTES_MAX = 64 * 2 ** 20;
const DEADLINE_MS = 60_000;

/** Methods without side effects: one that broke in the middle was not done, and may be sent again. */
const READ_METHODS: ReadonlySet<string> = new Set(
  [
    OlapServiceService.query,
    OlapServiceService.queryStream,
    OlapServiceService.healthCheck,
    OlapServiceService.getStats,
    OlapServiceService.getNodes,
    OlapServiceService.listTables,
    OlapServiceService.describeTable,
    QuerierServiceService.execute,
  ].map((method) => method.path),
);

/** @param address `host:port`; connects with the first call */
export function openOlapClient(address: string, options: ClientOptions = {}): OlapClient {
  return openClient(OlapServiceService, address, options);
}

/** @param address `host:port`; connects with the first call */
export function openQuerierClient(address: string, options: ClientOptions = {}): QuerierClient {
  return openClient(QuerierServiceService, address, options);
}

function openClient<S extends Service>(
  service: S,
  address: string,
  options: ClientOptions,
): ServiceClient<S> {
  const messageBytesMax = options.messageBytesMax ?? MESSAGE_BYTES_MAX;
  const client = new Client(address, credentials.createInsecure(), {
    'grpc.max_receive_message_length': messageBytesMax,
    'grpc.max_send_message_length': messageBytesMax,
    'grpc.enable_channelz': 0,
    // Clients of one process to one address would share a connection, and with it the limit of streams on it.
    'grpc.use_local_subchannel_pool': 1,
  });
  const deadlineMs = options.deadlineMs ?? DEADLINE_MS;
  const calls: Record<string, unknown> = { close: () => client.close() };
  for (const [name, method] of Object.entries(service)) {
    calls[name] = (request: unknown, call: CallOptions = {}) => {
      const timed = { ...call, deadlineMs: call.deadlineMs ?? deadlineMs };
      return method.responseStream
        ? stream(client, method, request, timed)
        : unary(client, method, request, timed);
    };
  }
  return calls as ServiceClient<S>;
}

type Method = Service[string];
type TimedCall = CallOptions & { readonly deadlineMs: number };

async function unary(client: Client, method: Method, request: unknown, options: TimedCall): Promise<unknown> {
  throwIfAborted(options.signal);
  let cancel = () => {};
  try {
    return await new Promise((resolve, reject) => {
      const call = client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        metadataOf(options),
        { deadline: deadlineOf(options) },
        (error, response) => (error === null ? resolve(response) : reject(error)),
      );
      cancel = () => call.cancel();
      options.signal?.addEventListener('abort', cancel, { once: true });
    });
  } catch (error) {
    throw statusToError(error, failedCall(method, options));
  } finally {
    options.signal?.removeEventListener('abort', cancel);
  }
}

async function* stream(
  client: Client,
  method: Method,
  request: unknown,
  options: TimedCall,
): AsyncGenerator<unknown> {
  throwIfAborted(options.signal);
  const call = openStream(client, method, request, options);
  const cancel = () => call.cancel();
  options.signal?.addEventListener('abort', cancel, { once: true });
  let sendFailure: unknown;
  if ('write' in call) {
    send(call, request as AsyncIterable<unknown>).catch((error: unknown) => {
      sendFailure = error;
      call.cancel();
    });
  }
  try {
    yield* call;
  } catch (error) {
    throw statusToError(sendFailure ?? error, failedCall(method, options));
  } finally {
    options.signal?.removeEventListener('abort', cancel);
    // After the end of the call this does nothing.
    call.cancel();
  }
}

function openStream(
  client: Client,
  method: Method,
  request: unknown,
  options: TimedCall,
): ClientReadableStream<unknown> | ClientDuplexStream<unknown, unknown> {
  const { path, requestSerialize, responseDeserialize } = method;
  const deadline = { deadline: deadlineOf(options) };
  const metadata = metadataOf(options);
  return method.requestStream
    ? client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata, deadline)
    : client.makeServerStreamRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        metadata,
        deadline,
      );
}

async function send(
  call: ClientDuplexStream<unknown, unknown>,
  requests: AsyncIterable<unknown>,
): Promise<void> {
  for await (const request of requests) {
    // The callback comes when grpc-js has passed the message on, so no more than one is waiting here.
    await new Promise<void>((resolve) => call.write(request, () => resolve()));
  }
  call.end();
}

function failedCall(method: Method, options: TimedCall): FailedCall {
  return { repeatable: READ_METHODS.has(method.path), abandoned: options.signal?.aborted === true };
}

function deadlineOf(options: TimedCall): number {
  return Date.now() + options.deadlineMs;
}

function metadataOf(options: CallOptions): Metadata {
  const metadata = new Metadata();
  for (const [key, value] of Object.entries(options.metadata ?? {})) metadata.set(key, value);
  return metadata;
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return;
  throw new MiniodbError('cancelled', 'cancelled before it was sent', {
    code: 'cancelled',
    cause: signal.reason,
  });
}
