import { z } from 'zod';
import type { Redis } from '../redis/client.ts';
import { asArray, asText } from '../redis/reply.ts';
import { runVerb } from '../redis/script.ts';
import type { Log } from '../runtime/log.ts';
import { GLOBAL_KEYS } from '../table/keys.ts';

export const ROLES = ['gateway', 'flusher', 'querier'] as const;
export type Role = (typeof ROLES)[number];

const memberSchema = z.object({
  id: z.string(),
  role: z.enum(ROLES),
  /** host:port that peers reach it at. */
  address: z.string(),
});

export type Member = z.infer<typeof memberSchema>;

const BEAT_EVERY_MS = 1_000;
/** Three beats may be lost before a member counts as dead. */
const LIVE_FOR_MS = 4_000;
const FORGOTTEN_AFTER_MS = 60_000;

/**
 * Who lives, by Redis' clock. Beats once a second for itself, and keeps the last view while Redis is away: an empty or
 * failed answer never means that nobody else is there. Views only save work; correctness does not rest on them.
 */
export class Membership {
  readonly #redis: Redis;
  readonly #log: Log;
  readonly #self: Member;
  #view: readonly Member[];
  #timer: NodeJS.Timeout | undefined;
  #beating: Promise<void> = Promise.resolve();
  readonly #listeners = new Set<(view: readonly Member[]) => void>();

  constructor(redis: Redis, log: Log, self: Member) {
    this.#redis = redis;
    this.#log = log;
    this.#self = self;
    this.#view = [self];
  }

  async join(): Promise<void> {
    await this.#beat(JSON.stringify(this.#self));
    this.#timer = setInterval(() => {
      this.#beating = this.#beat(JSON.stringify(this.#self)).catch((error: unknown) =>
        this.#log.warn({ event: 'heartbeat_failed', err: error }),
      );
    }, BEAT_EVERY_MS);
  }

  /** Live members of a role, by id. Holds itself when it is of that role. */
  live(role: Role): readonly Member[] {
    return this.#view.filter((member) => member.role === role);
  }

  onChange(listener: (view: readonly Member[]) => void): void {
    this.#listeners.add(listener);
  }

  /** Stops beating and says goodbye, so that others take over at once. */
  async leave(): Promise<void> {
    clearInterval(this.#timer);
    await this.#beating;
    await this.#beat('').catch((error: unknown) => this.#log.warn({ event: 'leave_failed', err: error }));
  }

  async #beat(info: string): Promise<void> {
    const reply = asArray(
      'heartbeat',
      await runVerb(
        this.#redis,
        'heartbeat',
        [GLOBAL_KEYS.members, GLOBAL_KEYS.memberInfo],
        [this.#self.id, info, LIVE_FOR_MS, FORGOTTEN_AFTER_MS],
      ),
    );
    if (info === '') return;
    const members = asArray('heartbeat', reply[1]).map((text) =>
      memberSchema.parse(JSON.parse(asText('heartbeat', text))),
    );
    if (!members.some((member) => member.id === this.#self.id)) members.push(this.#self);
    members.sort((a, b) => (a.id < b.id ? -1 : 1));
    const changed = JSON.stringify(members) !== JSON.stringify(this.#view);
    this.#view = members;
    if (changed) for (const listener of this.#listeners) listener(members);
  }
}
