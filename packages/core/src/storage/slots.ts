import { objectStoreCancelled, throwIfCancelled } from './object-errors.ts';

/** A fixed number of slots, given out in the order in which they were asked for. */
export class Slots {
  #free: number;
  readonly #waiting = new Set<() => void>();

  constructor(count: number) {
    this.#free = count;
  }

  /** Runs the work in a slot; waits for one, but not beyond the signal (`cancelled`). */
  async use<Result>(signal: AbortSignal | undefined, work: () => Promise<Result>): Promise<Result> {
    await this.#take(signal);
    try {
      return await work();
    } finally {
      this.#give();
    }
  }

  async #take(signal: AbortSignal | undefined): Promise<void> {
    throwIfCancelled(signal);
    if (this.#free > 0) {
      this.#free -= 1;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const granted = () => {
        signal?.removeEventListener('abort', cancelled);
        resolve();
      };
      const cancelled = () => {
        this.#waiting.delete(granted);
        reject(objectStoreCancelled(signal?.reason));
      };
      this.#waiting.add(granted);
      signal?.addEventListener('abort', cancelled, { once: true });
    });
  }

  /** A slot goes straight to whoever waits longest. */
  #give(): void {
    for (const granted of this.#waiting) {
      this.#waiting.delete(granted);
      granted();
      return;
    }
    this.#free += 1;
  }
}
