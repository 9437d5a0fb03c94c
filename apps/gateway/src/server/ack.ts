import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { Ack as WireAck } from '@miniodb/proto/gen/olap/v1/olap.ts';
import type { Ack } from '../api.ts';

const ACKS: Readonly<Record<Ack, WireAck>> = {
  default: WireAck.DEFAULT,
  queued: WireAck.QUEUED,
  durable: WireAck.DURABLE,
  committed: WireAck.COMMITTED,
};

export function ackToWire(ack: Ack): WireAck {
  return ACKS[ack];
}

/** Throws `invalid_argument`/`unknown_ack` for a number of a newer version. */
export function ackFromWire(wire: number): Ack {
  const found = (Object.keys(ACKS) as Ack[]).find((ack) => ACKS[ack] === wire);
  if (found === undefined) throw unknown(String(wire));
  return found;
}

export function ackFromText(text: string): Ack {
  if (!Object.hasOwn(ACKS, text)) throw unknown(JSON.stringify(text));
  return text as Ack;
}

function unknown(what: string): MiniodbError {
  const message = `unknown ack ${what}; known are ${Object.keys(ACKS).join(', ')}`;
  return new MiniodbError('invalid_argument', message, { code: 'unknown_ack' });
}
