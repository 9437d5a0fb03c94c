import {
  type Metadata,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
  ServerListenerBuilder,
} from '@grpc/grpc-js';
import { errorToStatus } from './status.ts';

/** A call of which only the header has been read. */
export interface ArrivingCall {
  /** `/olap.v1.OlapService/Write` */
  readonly path: string;
  /** The first text value under a (lower case) metadata key. */
  metadata(key: string): string | undefined;
}

/**
 * Decides about a call before any of its message is read, so that strangers cannot fill our memory. What it throws is
 * the call's status; what it resolves to, the handler finds as `admission`.
 */
export type Admit = (call: ArrivingCall) => Promise<unknown>;

/** By the metadata object of the call: the one thing that grpc-js hands on unchanged to the handler. */
const admissions = new WeakMap<Metadata, unknown>();

export function admissionOf(metadata: Metadata): unknown {
  return admissions.get(metadata);
}

export function textOf(metadata: Metadata, key: string): string | undefined {
  return metadata.get(key).find((value) => typeof value === 'string');
}

/** grpc-js reads messages only once the header has been passed on: a call waits with its header until it is admitted. */
export function admissionInterceptor(admit: Admit): ServerInterceptor {
  return (method, call) => {
    const listener = new ServerListenerBuilder()
      .withOnReceiveMetadata((metadata, next) => {
        const arriving: ArrivingCall = {
          path: method.path,
          metadata: (key) => textOf(metadata, key),
        };
        admit(arriving).then(
          (admission) => {
            admissions.set(metadata, admission);
            next(metadata);
          },
          (error: unknown) => refuse(call, error),
        );
      })
      .build();
    return new ServerInterceptingCall(call, { start: (next) => next(listener) });
  };
}

function refuse(call: ServerInterceptingCallInterface, error: unknown): void {
  call.sendStatus(errorToStatus(error));
}
