import type { EventEmitter } from 'node:events';
import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import * as grpc from '@grpc/grpc-js';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { admissionOf, handedOver, textOf } from './admission.ts';
import { asMalformed } from './decode.ts';
import { messagesOf } from './messages.ts';
import { errorToStatus } from './status.ts';

/** One method of a generated service definition, as far as its types are known. */
interface Method<Request, Response> {
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly requestSerialize: (value: Request) => Buffer;
  readonly requestDeserialize: (bytes: Buffer) => Request;
  readonly responseSerialize: (value: Response) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => Response;
}

// biome-ignore lint/suspicious/noExplicitAny: methods of all message types, which only inference below tells apart
export type Service = Readonly<Record<string, Method<any, any>>>;

export type RequestOf<M> = M extends { requestSerialize: (value: infer Request) => Buffer } ? Request : never;
export type ResponseOf<M> = M extends { responseDeserialize: (bytes: Buffer) => infer Response }
  ? Response
  : never;

/** What a server's handler is given: as `requestDeserialize` reads it, which a service may replace. */
type ReceivedOf<M> = M extends { requestDeserialize: (bytes: Buffer) => infer Request } ? Request : never;

/** One call, seen from the server. */
export interface ServerCall {
  /** Fires with a MiniodbError (`cancelled` or `deadline_exceeded`) when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
  /** By this machine's clock; undefined when the caller set none. */
  readonly deadlineMs: number | undefined;
  /** What the server's `admit` said of it; undefined without one. */
  readonly admission: unknown;
  /** The first text value under a (lower case) metadata key. */
  metadata(key: string): string | undefined;
  /** Sent before the first message. */
  sendMetadata(entries: Readonly<Record<string, string>>): void;
}

type Handler<M> = M extends { requestStream: true }
  ? (requests: AsyncIterable<ReceivedOf<M>>, call: ServerCall) => AsyncIterable<ResponseOf<M>>
  : M extends { responseStream: true }
    ? (request: ReceivedOf<M>, call: ServerCall) => AsyncIterable<ResponseOf<M>>
    : (request: ReceivedOf<M>, call: ServerCall) => Promise<ResponseOf<M>>;

export type Handlers<S extends Service> = { readonly [Name in keyof S]: Handler<S[Name]> };

export interface ServiceImplementation {
  readonly definition: ServiceDefinition;
  readonly implementation: UntypedServiceImplementation;
}

type AnyHandler = (request: unknown, call: ServerCall) => Promise<unknown> | AsyncIterable<unknown>;

/**
 * A service as promises and async iterables. What a handler throws becomes a status by `status.ts`; bytes that are no
 * message become `invalid_argument` (grpc-js alone would answer INTERNAL).
 *
 * @param present sees every error before it is sent, to log it or to put another in its place
 */
export function implementService<S extends Service>(
  service: S,
  handlers: Handlers<S>,
  present: (error: unknown, call: ServerCall) => unknown,
): ServiceImplementation {
  const definition: Record<string, ServiceDefinition[string]> = {};
  const implementation: UntypedServiceImplementation = {};
  for (const [name, method] of Object.entries(service)) {
    definition[name] = { ...method, requestDeserialize: (bytes: Buffer) => bytes };
    const handler = handlers[name] as AnyHandler;
    implementation[name] = method.responseStream
      ? streamAdapter(method, handler, present)
      : unaryAdapter(method, handler, present);
  }
  return { definition, implementation };
}

type Present = (error: unknown, call: ServerCall) => unknown;

function unaryAdapter(method: Service[string], handler: AnyHandler, present: Present) {
  return (call: grpc.ServerUnaryCall<Buffer, unknown>, done: grpc.sendUnaryData<unknown>): void => {
    const context = openCall(call);
    const answer = async () => handler(take(method, call.request, call.metadata), context);
    answer().then(
      (response) => done(null, response),
      (error: unknown) => done(errorToStatus(present(error, context))),
    );
  };
}

type StreamCall = grpc.ServerWritableStream<Buffer, unknown> | grpc.ServerDuplexStream<Buffer, unknown>;

function streamAdapter(method: Service[string], handler: AnyHandler, present: Present) {
  return (call: StreamCall): void => {
    const context = openCall(call);
    const pump = async () => {
      const request =
        'request' in call
          ? take(method, call.request, call.metadata)
          : takeAll(method, messagesOf(call), call.metadata);
      for await (const response of handler(request, context) as AsyncIterable<unknown>) {
        context.signal.throwIfAborted();
        if (!call.write(response)) await drained(call, context.signal);
      }
    };
    const emitter: EventEmitter = call;
    pump().then(
      () => call.end(),
      // grpc-js takes the status of a stream from its error event.
      (error: unknown) => emitter.emit('error', errorToStatus(present(error, context))),
    );
  };
}

async function* takeAll(
  method: Service[string],
  requests: AsyncIterable<Buffer>,
  metadata: grpc.Metadata,
): AsyncGenerator<unknown> {
  for await (const bytes of requests) yield take(method, bytes, metadata);
}

function take(method: Service[string], bytes: Buffer, metadata: grpc.Metadata): unknown {
  handedOver(metadata, bytes.length);
  try {
    return method.requestDeserialize(bytes);
  } catch (error) {
    throw asMalformed(error);
  }
}

function drained(call: StreamCall, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      call.off('drain', onDrain);
      reject(signal.reason as Error);
    };
    const onDrain = () => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    };
    call.once('drain', onDrain);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
  });
}

function openCall(call: grpc.ServerUnaryCall<Buffer, unknown> | StreamCall): ServerCall {
  const abort = new AbortController();
  const emitter: EventEmitter = call;
  emitter.on('cancelled', () => abort.abort(reasonOfCancel(call.getDeadline())));
  return {
    signal: abort.signal,
    deadlineMs: deadlineOf(call),
    admission: admissionOf(call.metadata),
    metadata: (key) => textOf(call.metadata, key),
    sendMetadata: (entries) => {
      const metadata = new grpc.Metadata();
      for (const [key, value] of Object.entries(entries)) metadata.set(key, value);
      call.sendMetadata(metadata);
    },
  };
}

function deadlineOf(call: { getDeadline(): Date | number }): number | undefined {
  const deadlineMs = Number(call.getDeadline());
  return Number.isFinite(deadlineMs) ? deadlineMs : undefined;
}

/** grpc-js cancels a call at its deadline as well, and does not say which it was. */
function reasonOfCancel(deadline: Date | number): MiniodbError {
  return Number(deadline) <= Date.now()
    ? new MiniodbError('deadline_exceeded', 'the deadline of the call has passed', {
        code: 'deadline_exceeded',
      })
    : new MiniodbError('cancelled', 'the caller went away', { code: 'cancelled' });
}
