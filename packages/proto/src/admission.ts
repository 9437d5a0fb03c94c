import {
  type Metadata,
  ServerInterceptingCall,
  type ServerInterceptor,
  ServerListenerBuilder,
} from '@grpc/grpc-js';
import { Arrival, hangUp, type Intake, refuseCompression } from './arrival.ts';
import { errorToStatus } from './status.ts';

/** A call of which only the header has been read. */
export interface ArrivingCall {
  /** `/olap.v1.OlapService/Write` */
  readonly path: string;
  /** Address of who has connected, without its port; empty where there is none. */
  readonly peer: string;
  /** The first text value under a (lower case) metadata key. */
  metadata(key: string): string | undefined;
}

export interface Admitted {
  /** The handler finds it as `admission`. */
  readonly admission: unknown;
  readonly intake?: Intake;
}

/**
 * Decides about a call before any of its message is read, so that strangers cannot fill our memory. What it throws is
 * the call's status.
 */
export type Admit = (call: ArrivingCall) => Promise<Admitted>;

interface Let {
  readonly admission: unknown;
  readonly arrival: Arrival;
}

/** By the metadata object of the call: the one thing that grpc-js hands on unchanged to the handler. */
const calls = new WeakMap<Metadata, Let>();

export function admissionOf(metadata: Metadata): unknown {
  return calls.get(metadata)?.admission;
}

/** To be said right before a handler is given a message: until then it counts as arriving. */
export function handedOver(metadata: Metadata, messageBytes: number): void {
  calls.get(metadata)?.arrival.handedOver(messageBytes);
}

export function textOf(metadata: Metadata, key: string): string | undefined {
  return metadata.get(key).find((value) => typeof value === 'string');
}

/** grpc-js reads messages only once the header has been passed on: a call waits with its header until it is admitted. */
export function admissionInterceptor(admit: Admit): ServerInterceptor {
  return (method, call) => {
    let arrival: Arrival | undefined;
    let hasAll = false;
    let isOver = false;
    const end = () => {
      isOver = true;
      arrival?.end();
    };
    const refuse = (error: unknown) => {
      call.sendStatus(errorToStatus(error));
      end();
    };
    const admitOne = async (metadata: Metadata): Promise<void> => {
      refuseCompression(call);
      const arriving: ArrivingCall = {
        path: method.path,
        peer: call.getConnectionInfo().remoteAddress ?? '',
        metadata: (key) => textOf(metadata, key),
      };
      const { admission, intake } = await admit(arriving);
      arrival = new Arrival(call, method.requestStream, intake ?? {}, refuse);
      calls.set(metadata, { admission, arrival });
      if (isOver) arrival.end();
    };
    const listener = new ServerListenerBuilder()
      .withOnReceiveMetadata((metadata, next) => {
        admitOne(metadata).then(() => next(metadata), refuse);
      })
      .withOnReceiveHalfClose((next) => {
        hasAll = true;
        arrival?.halfClosed();
        next();
      })
      // grpc-js says so at the end of every call, after its status has been sent.
      .withOnCancel(() => {
        end();
        if (!hasAll) hangUp(call);
      })
      .build();
    return new ServerInterceptingCall(call, { start: (next) => next(listener) });
  };
}
