import type { Server as NetServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { HealthImplementation } from 'grpc-health-check';
import { type Admit, admissionInterceptor } from './admission.ts';
import { addReflection } from './reflection.ts';
import type { ServiceImplementation } from './service.ts';

export interface GrpcServerOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly services: readonly ServiceImplementation[];
  /** Names whose health is told apart, for example `olap.v1.OlapService`; the empty name is always among them. */
  readonly healthOf?: readonly string[];
  /** Whether clients may ask for olap.v1 and health by server reflection. */
  readonly reflection?: boolean;
  /** Of one message, either way. */
  readonly messageBytesMax?: number;
  /** Calls in flight on one connection; further ones wait in the client. */
  readonly concurrentStreamsMax?: number;
  /** Further ones are closed as they come. */
  readonly connectionsMax?: number;
  /** Asked of every call, those of health and reflection too, before its message is read. */
  readonly admit?: Admit;
}

export interface GrpcServer {
  /** Where it listens: `host:port`, with the real port. */
  readonly address: string;
  readonly port: number;
  /** Every name of healthOf and the whole server; not serving until the first call of this. */
  setServing(serving: boolean): void;
  /** Tells health watchers, lets calls in flight end, and ends them itself after that time. */
  close(graceMs: number): Promise<void>;
}

const MESSAGE_BYTES_MAX = 64 * 2 ** 20;
const CONCURRENT_STREAMS_MAX = 1000;
/** A client that vanished without a word is noticed after the sum of these two. */
const KEEPALIVE_TIME_MS = 60_000;
const KEEPALIVE_TIMEOUT_MS = 20_000;
/** A connection without a call is told to go, and a client that has more to ask comes again. */
const CONNECTION_IDLE_MS = 10 * 60_000;
/** Of some 50 KB each. Clients need one, however many calls they make. */
const CONNECTIONS_MAX = 4_096;

/** Throws `unavailable`/`listen_failed`. */
export async function openGrpcServer(options: GrpcServerOptions): Promise<GrpcServer> {
  const messageBytesMax = options.messageBytesMax ?? MESSAGE_BYTES_MAX;
  const server = new Server({
    'grpc.max_receive_message_length': messageBytesMax,
    'grpc.max_send_message_length': messageBytesMax,
    'grpc.max_concurrent_streams': options.concurrentStreamsMax ?? CONCURRENT_STREAMS_MAX,
    'grpc.keepalive_time_ms': KEEPALIVE_TIME_MS,
    'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
    'grpc.max_connection_idle_ms': CONNECTION_IDLE_MS,
    // Without channelz, grpc-js 1.14 does not know its connections, and forceShutdown ends none of them.
    'grpc.enable_channelz': 1,
    ...(options.admit === undefined ? {} : { interceptors: [admissionInterceptor(options.admit)] }),
  });
  for (const { definition, implementation } of options.services)
    server.addService(definition, implementation);
  const healthNames = ['', ...(options.healthOf ?? [])];
  const health = new HealthImplementation();
  const setServing = (serving: boolean) => {
    for (const name of healthNames) health.setStatus(name, serving ? 'SERVING' : 'NOT_SERVING');
  };
  setServing(false);
  health.addToServer(server);
  if (options.reflection === true) addReflection(server);
  const port = await listen(server, options.host, options.port);
  limitConnections(server, options.connectionsMax ?? CONNECTIONS_MAX);
  return {
    address: hostAndPort(options.host, port),
    port,
    setServing,
    close: async (graceMs) => {
      setServing(false);
      await shutDown(server, graceMs);
    },
  };
}

function listen(server: Server, host: string, port: number): Promise<number> {
  const address = hostAndPort(host, port);
  return new Promise((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (cause, boundPort) => {
      if (cause === null) resolve(boundPort);
      else {
        const message = `cannot listen on ${address}: ${cause.message}`;
        reject(new MiniodbError('unavailable', message, { code: 'listen_failed', cause }));
      }
    });
  });
}

/** grpc-js 1.14 has no option for it. Throws `internal`/`grpc_not_known` where it keeps its listeners otherwise. */
function limitConnections(server: Server, connectionsMax: number): void {
  const { http2Servers } = server as unknown as { readonly http2Servers?: ReadonlyMap<NetServer, unknown> };
  if (!(http2Servers instanceof Map) || http2Servers.size === 0) {
    server.forceShutdown();
    throw new MiniodbError('internal', 'this version of grpc-js has no place for a limit of connections', {
      code: 'grpc_not_known',
    });
  }
  for (const listener of http2Servers.keys()) listener.maxConnections = connectionsMax;
}

function hostAndPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

async function shutDown(server: Server, graceMs: number): Promise<void> {
  const drained = new AbortController();
  const closed = new Promise<void>((resolve) => {
    server.tryShutdown(() => {
      drained.abort();
      resolve();
    });
  });
  const late = sleep(graceMs, undefined, { signal: drained.signal }).then(
    () => server.forceShutdown(),
    () => {},
  );
  await Promise.all([closed, late]);
}
