import { setTimeout as sleep } from 'node:timers/promises';
import { askFlush } from '@miniodb/core/queue/ask-flush.ts';
import { type CommitState, type CommitTarget, lookAtCommits } from '@miniodb/core/queue/look-commits.ts';
import type { Redis } from '@miniodb/core/redis/client.ts';
import type { FixedKeys } from '@miniodb/core/table/keys.ts';

/**
 * Waits for commits. One round at a time for each table: what has come since the last one is asked to be flushed, with one
 * question for all of it, then all that is waited for is looked at. While nobody waits, nothing runs.
 */

/** From the beginning of one round to the next. A flush takes twice as long at least. */
const ROUND_MS = 25;
/** What one look goes through: about 1 ms of Redis' time. */
const BATCHES_PER_LOOK_MAX = 1_000;

export type CommitOutcome = Exclude<CommitState, 'pending'>;

interface Awaited {
  readonly target: CommitTarget;
  readonly outcome: PromiseWithResolvers<CommitOutcome>;
  /** Calls that wait for it: those of one group commit wait for the same. */
  callers: number;
  isAsked: boolean;
}

/** One incarnation of a table, and what is awaited there. */
interface Line {
  readonly table: string;
  readonly generation: string;
  readonly awaited: Map<CommitTarget, Awaited>;
}

export class CommitWatch {
  readonly #redis: Redis;
  readonly #fixed: FixedKeys;
  readonly #lines = new Map<string, Line>();
  /** How each call that waits is told that it waited long enough. */
  readonly #waiting = new Set<() => void>();
  #isOver = false;
  #ending: NodeJS.Timeout | undefined;
  #lastError: unknown;

  constructor(redis: Redis, fixed: FixedKeys) {
    this.#redis = redis;
    this.#fixed = fixed;
  }

  /**
   * Asks for a flush and resolves when it is over; `unseen` after waitMs, or when the signal fires first. Never throws:
   * while Redis does not answer, it goes on asking.
   * @param target by identity: the same object is asked for once
   */
  async wait(
    table: string,
    generation: string,
    target: CommitTarget,
    waitMs: number,
    signal: AbortSignal,
  ): Promise<CommitOutcome | 'unseen'> {
    if (signal.aborted || this.#isOver) return 'unseen';
    const line = this.#line(table, generation);
    const awaited = this.#await(line, target);
    const unseen = Promise.withResolvers<'unseen'>();
    const giveUp = () => unseen.resolve('unseen');
    const timer = setTimeout(giveUp, waitMs);
    signal.addEventListener('abort', giveUp, { once: true });
    this.#waiting.add(giveUp);
    awaited.callers += 1;
    try {
      return await Promise.race([awaited.outcome.promise, unseen.promise]);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', giveUp);
      this.#waiting.delete(giveUp);
      awaited.callers -= 1;
      if (awaited.callers === 0) line.awaited.delete(target);
    }
  }

  /** Why the last round failed, if it did. */
  get lastError(): unknown {
    return this.#lastError;
  }

  /** Whoever waits then, or comes to wait later, hears that the commit was not seen. */
  drain(graceMs: number): void {
    this.#ending = setTimeout(() => this.close(), graceMs);
  }

  close(): void {
    clearTimeout(this.#ending);
    this.#isOver = true;
    for (const giveUp of this.#waiting) giveUp();
  }

  #line(table: string, generation: string): Line {
    const key = `${table}|${generation}`;
    let line = this.#lines.get(key);
    if (line === undefined) {
      line = { table, generation, awaited: new Map() };
      this.#lines.set(key, line);
      // After this turn, so that the first round finds what it was begun for.
      setImmediate(() => void this.#run(key, line!));
    }
    return line;
  }

  #await(line: Line, target: CommitTarget): Awaited {
    let awaited = line.awaited.get(target);
    if (awaited === undefined) {
      awaited = { target, outcome: Promise.withResolvers(), callers: 0, isAsked: false };
      line.awaited.set(target, awaited);
    }
    return awaited;
  }

  /** Never rejects. */
  async #run(key: string, line: Line): Promise<void> {
    while (line.awaited.size > 0) {
      const nextMs = performance.now() + ROUND_MS;
      try {
        await this.#ask(line);
        await this.#look(line);
        this.#lastError = undefined;
      } catch (error) {
        this.#lastError = error;
      }
      await sleep(Math.max(nextMs - performance.now(), 1));
    }
    this.#lines.delete(key);
  }

  async #ask(line: Line): Promise<void> {
    const news = [...line.awaited.values()].filter(({ isAsked }) => !isAsked);
    if (news.length === 0) return;
    const shards = new Set<number>();
    let seq = 0;
    for (const { target } of news) {
      seq = Math.max(seq, Number(target.seq));
      if (target.kind === 'put') for (const { shard } of target.batches) shards.add(shard);
      else for (let shard = 0; shard < target.shardCount; shard += 1) shards.add(shard);
    }
    const { table, generation } = line;
    // Of a table that is gone the look says so.
    await askFlush(this.#redis, this.#fixed, { table, generation, seq: String(seq), shards: [...shards] });
    for (const awaited of news) awaited.isAsked = true;
  }

  async #look(line: Line): Promise<void> {
    const { table, generation } = line;
    for (const part of inParts([...line.awaited.values()])) {
      const targets = part.map(({ target }) => target);
      const states = await lookAtCommits(this.#redis, this.#fixed, table, generation, targets);
      for (const [at, awaited] of part.entries()) {
        const state = states[at]!;
        if (state === 'pending') continue;
        line.awaited.delete(awaited.target);
        awaited.outcome.resolve(state);
      }
    }
  }
}

function inParts(all: readonly Awaited[]): Awaited[][] {
  const parts: Awaited[][] = [];
  let batches = Number.POSITIVE_INFINITY;
  for (const awaited of all) {
    const { target } = awaited;
    const more = target.kind === 'put' ? target.batches.length : target.shardCount;
    if (batches + more > BATCHES_PER_LOOK_MAX) {
      parts.push([]);
      batches = 0;
    }
    parts.at(-1)!.push(awaited);
    batches += more;
  }
  return parts;
}
