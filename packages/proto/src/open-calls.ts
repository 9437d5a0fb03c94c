import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { Intake } from './arrival.ts';

/** Questions of health and reflection: a name. */
const MESSAGE_BYTES_MAX = 4_096;
const MESSAGE_TIMEOUT_MS = 10_000;
/** At once. A watcher of health keeps a call for as long as it lives, and load balancers have a few. */
const CALLS_PER_PEER_MAX = 256;

/** What strangers may send, of calls that need no credentials: little, soon, and few at a time from one address. */
export class OpenCalls {
  /** Only those with a call under way. */
  readonly #running = new Map<string, number>();

  /** Throws `resource_exhausted`/`too_many_calls`. */
  intake(peer: string): Intake {
    const running = this.#running.get(peer) ?? 0;
    if (running >= CALLS_PER_PEER_MAX) {
      throw new MiniodbError('resource_exhausted', 'too many calls without credentials from this address', {
        code: 'too_many_calls',
        retryAfterMs: 1_000,
      });
    }
    this.#running.set(peer, running + 1);
    return {
      messageBytesMax: MESSAGE_BYTES_MAX,
      messageTimeoutMs: MESSAGE_TIMEOUT_MS,
      ended: () => {
        const left = this.#running.get(peer)! - 1;
        if (left === 0) this.#running.delete(peer);
        else this.#running.set(peer, left);
      },
    };
  }
}
