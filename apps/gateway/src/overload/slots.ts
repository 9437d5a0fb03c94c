import { MiniodbError } from '@miniodb/core/runtime/errors.ts';

/** Most calls end within it, and then there is room again. */
const RETRY_AFTER_MS = 500;

/** A bound on calls of one kind that are under way at once: each costs memory and a place in queues, however small. */
export class Slots {
  readonly #what: string;
  readonly #max: number;
  #taken = 0;

  /** @param what of the message: `writes` */
  constructor(what: string, max: number) {
    this.#what = what;
    this.#max = max;
  }

  get taken(): number {
    return this.#taken;
  }

  /** Throws `resource_exhausted`/`too_many_requests_in_flight`. */
  async hold<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#taken >= this.#max) {
      throw new MiniodbError(
        'resource_exhausted',
        `this gateway has ${this.#max} ${this.#what} in work already`,
        {
          code: 'too_many_requests_in_flight',
          retryAfterMs: RETRY_AFTER_MS,
        },
      );
    }
    this.#taken += 1;
    try {
      return await work();
    } finally {
      this.#taken -= 1;
    }
  }
}
