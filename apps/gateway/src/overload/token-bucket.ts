/**
 * So much a second, and at most one second's worth at once. What is taken may be more than there is, as long as there
 * is something: a single request larger than a second's worth passes, and those after it wait until it is paid for.
 */
export class TokenBucket {
  readonly #perSecond: number;
  readonly #capacity: number;
  #tokens: number;
  #filledAtMs: number;

  constructor(perSecond: number, nowMs: number) {
    this.#perSecond = perSecond;
    // Of a rate below one a second there must come a whole one in time.
    this.#capacity = Math.max(perSecond, 1);
    this.#tokens = this.#capacity;
    this.#filledAtMs = nowMs;
  }

  /** How long until something can be taken; 0: now. */
  waitMs(nowMs: number): number {
    const elapsedMs = Math.max(0, nowMs - this.#filledAtMs);
    this.#tokens = Math.min(this.#capacity, this.#tokens + (elapsedMs / 1_000) * this.#perSecond);
    this.#filledAtMs = nowMs;
    return this.#tokens >= 1 ? 0 : Math.ceil(((1 - this.#tokens) / this.#perSecond) * 1_000);
  }

  take(amount: number): void {
    this.#tokens -= amount;
  }
}
