import { MiniodbError } from '@miniodb/core/runtime/errors.ts';

/**
 * The memory that writes of this process may take. A write takes from it before it allocates: for its body as it
 * arrives, for its text as it is decompressed, for its rows before they are read. It gives all back when its call ends.
 *
 * A write that would go beyond is refused; one that is alone never is, or a request larger than the whole budget could
 * not be stored at all. So of many that grow at once some are refused, but not all: the last one goes on.
 */

/**
 * Bytes that a byte of text costs until its rows are enqueued. Of lines: the text, its characters, the stored lines, and
 * some 300 bytes a row. By how much a process grew, for each byte of one request: 4.3 for rows of 275 bytes, 6.4 for
 * rows of 104, 8 for such rows with nested fields.
 */
export const LINES_FACTOR = 6;
/** Of objects (a JSON array, protobuf rows): besides those the parsed values, and a buffer for every row; 10.9 for 112. */
export const OBJECTS_FACTOR = 11;

/** Most calls end within it, and then there is room again. */
const RETRY_AFTER_MS = 500;

export interface BudgetObserver {
  inflight(bytes: number): void;
  refused(code: string): void;
}

export class ByteBudget {
  readonly #bytesMax: number;
  readonly #observer: BudgetObserver | undefined;
  #taken = 0;

  constructor(bytesMax: number, observer?: BudgetObserver) {
    this.#bytesMax = bytesMax;
    this.#observer = observer;
  }

  get taken(): number {
    return this.#taken;
  }

  /** The share of one call; whoever opens it releases it. */
  open(): Share {
    let held: number | undefined = 0;
    return {
      take: (bytes) => {
        if (held === undefined)
          throw new MiniodbError('cancelled', 'the call is over', { code: 'cancelled' });
        this.#requireRoom(held, bytes);
        held += bytes;
        this.#add(bytes);
      },
      requireRoom: (bytes) => this.#requireRoom(held ?? 0, bytes),
      give: (bytes) => {
        if (held === undefined) return;
        const given = Math.min(held, bytes);
        held -= given;
        this.#add(-given);
      },
      release: () => {
        if (held !== undefined) this.#add(-held);
        held = undefined;
      },
    };
  }

  /** Does the work of a call that has that many bytes already. */
  async hold<Result>(bytes: number, work: (share: Share) => Promise<Result>): Promise<Result> {
    const share = this.open();
    try {
      share.take(bytes);
      return await work(share);
    } finally {
      share.release();
    }
  }

  #requireRoom(held: number, bytes: number): void {
    if (this.#taken > held && this.#taken + bytes > this.#bytesMax) throw this.#refusal();
  }

  #add(bytes: number): void {
    this.#taken += bytes;
    this.#observer?.inflight(this.#taken);
  }

  #refusal(): MiniodbError {
    const code = 'too_much_in_flight';
    this.#observer?.refused(code);
    return new MiniodbError('resource_exhausted', 'this gateway has too many writes in flight', {
      code,
      retryAfterMs: RETRY_AFTER_MS,
    });
  }
}

export interface Share {
  /** Throws `resource_exhausted`/`too_much_in_flight`, and `cancelled` after the release. */
  take(bytes: number): void;
  /** Throws as `take` would, and takes nothing: what is only announced is not in memory yet. */
  requireRoom(bytes: number): void;
  /** Gives that much back, at most what there is. */
  give(bytes: number): void;
  /** Gives all back; a second time it does nothing. */
  release(): void;
}
