import { constants, type ServerHttp2Stream } from 'node:http2';
import type { ServerInterceptingCallInterface } from '@grpc/grpc-js';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { type Pace, watchPace } from '@miniodb/core/runtime/pace.ts';

/** What an admitted call may send, and who is told of it. */
export interface Intake {
  /** Of one message; the length that it announces counts. Default: what the server takes at most. */
  readonly messageBytesMax?: number;
  /** From the header of a call with one message until its end; for a call with many, of each from its first byte. */
  readonly messageTimeoutMs?: number;
  /** Whether a large message that comes too slowly ends the call. */
  readonly isPaced?: boolean;
  /** Told of bytes as they come, framing included. What it throws is the call's status. */
  arrived?(bytes: number): void;
  /** The handler has so many of them now: they are its to answer for. */
  handedOver?(bytes: number): void;
  /** The call is over, whatever became of it. Once. */
  ended?(): void;
}

/** Before each message: one byte of flags, four of length. */
export const FRAME_BYTES = 5;

/** What grpc-js 1.14 keeps of a call that arrives. It has no option for one call, only for a whole server. */
interface Receiving {
  decoder: Decoder;
  readonly incomingEncoding: string;
  readonly stream: ServerHttp2Stream;
}
interface Decoder {
  maxReadMessageLength: number;
  write(data: Buffer): Buffer[];
}

/**
 * Messages that grpc-js decompresses are in memory at their full size, up to a thousandfold of what was sent, before
 * anybody is asked. Rows are better compressed inside their message, where a budget counts them.
 */
export function refuseCompression(call: ServerInterceptingCallInterface): void {
  const { incomingEncoding } = receivingOf(call);
  if (incomingEncoding === 'identity') return;
  throw new MiniodbError(
    'unimplemented',
    `messages with grpc-encoding ${JSON.stringify(incomingEncoding.slice(0, 64))} are not taken`,
    { code: 'unsupported_encoding' },
  );
}

/** Node sends the end of a stream before trailers that it has not written yet. */
const HANG_UP_AFTER_MS = 250;

/**
 * Ends a call that has its status and whose client may still send. Otherwise what has come of it would stay in memory for
 * as long as the client likes.
 */
export function hangUp(call: ServerInterceptingCallInterface): void {
  const { stream } = receivingOf(call);
  setTimeout(() => stream.close(constants.NGHTTP2_NO_ERROR), HANG_UP_AFTER_MS).unref();
}

/** One call while it arrives. */
export class Arrival {
  readonly #intake: Intake;
  readonly #isStream: boolean;
  readonly #refuse: (error: unknown) => void;
  readonly #pace: Pace | undefined;
  readonly #receiving: Receiving;
  #timer: NodeJS.Timeout | undefined;
  #partialBytes = 0;
  #isOver = false;

  /** @param refuse ends the call */
  constructor(
    call: ServerInterceptingCallInterface,
    isStream: boolean,
    intake: Intake,
    refuse: (error: unknown) => void,
  ) {
    this.#intake = intake;
    this.#isStream = isStream;
    this.#refuse = refuse;
    this.#pace = intake.isPaced === true ? watchPace(() => this.#tooSlow()) : undefined;
    this.#receiving = receivingOf(call);
    const { decoder } = this.#receiving;
    if (intake.messageBytesMax !== undefined) decoder.maxReadMessageLength = intake.messageBytesMax;
    this.#receiving.decoder = {
      maxReadMessageLength: decoder.maxReadMessageLength,
      write: (data) => {
        this.#came(data.length);
        const messages = decoder.write(data);
        this.#complete(messages);
        return messages;
      },
    };
    if (!isStream) this.#startTimer();
  }

  /** The client has sent all that it will send. */
  halfClosed(): void {
    this.#stopWaiting();
  }

  handedOver(messageBytes: number): void {
    if (!this.#isOver) this.#intake.handedOver?.(messageBytes + FRAME_BYTES);
  }

  /** Repeatable. */
  end(): void {
    this.#stopWaiting();
    if (this.#isOver) return;
    this.#isOver = true;
    // It keeps what has come of a message, and the call may stay for a while.
    this.#receiving.decoder = { maxReadMessageLength: 0, write: () => [] };
    this.#intake.ended?.();
  }

  #came(bytes: number): void {
    if (this.#isOver) return;
    try {
      this.#intake.arrived?.(bytes);
    } catch (error) {
      // grpc-js would answer with a status of its own; after this one, it answers nothing.
      this.#refuse(error);
      throw error;
    }
    this.#partialBytes += bytes;
    this.#pace?.arrived(bytes);
  }

  #complete(messages: readonly Buffer[]): void {
    if (messages.length > 0) {
      for (const message of messages) this.#partialBytes -= message.length;
      this.#pace?.end();
      if (this.#isStream) this.#stopWaiting();
    }
    if (this.#isStream && this.#partialBytes > 0 && this.#timer === undefined) this.#startTimer();
  }

  #startTimer(): void {
    const { messageTimeoutMs } = this.#intake;
    if (messageTimeoutMs !== undefined && !this.#isOver)
      this.#timer = setTimeout(() => this.#tooSlow(), messageTimeoutMs);
  }

  #stopWaiting(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#pace?.end();
  }

  #tooSlow(): void {
    this.#refuse(
      new MiniodbError('deadline_exceeded', 'the message did not arrive in time', {
        code: 'request_timeout',
      }),
    );
  }
}

/** Throws `internal`/`grpc_not_known` with a grpc-js that is made otherwise: better no call than one without limits. */
function receivingOf(call: ServerInterceptingCallInterface): Receiving {
  const receiving = call as unknown as Partial<Receiving>;
  const { decoder, incomingEncoding, stream } = receiving;
  if (
    typeof decoder?.write !== 'function' ||
    typeof decoder.maxReadMessageLength !== 'number' ||
    typeof incomingEncoding !== 'string' ||
    typeof stream?.close !== 'function'
  ) {
    throw new MiniodbError('internal', 'this version of grpc-js has no place for limits of a call', {
      code: 'grpc_not_known',
    });
  }
  return receiving as Receiving;
}
