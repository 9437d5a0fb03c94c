import { z } from 'zod';
import type { Redis } from '../redis/client.ts';
import { asArray, asText } from '../redis/reply.ts';
import { runVerb } from '../redis/script.ts';
import type { Log } from '../runtime/log.ts';
import { GLOBAL_KEYS } from '../table/keys.ts';
import { nextSeen, type SeenMember } from './view.ts';

export const ROLES = ['gateway', 'flusher', 'querier'] as const;
export type Role = (typeof ROLES)[number];

const memberSchema = z.object({
  id: z.string(),
  role: z.enum(ROLES),
  /** host:port that peers reach it at. */
  address: z.string(),
  /** Code of why it does nothing at all: it holds Redis and the bucket to be of different histories. */
  trouble: z.string().optional(),
});

export type Member = z.infer<typeof memberSchema>;

const BEAT_EVERY_MS = 1_000;
/** Three beats may be lost before a member counts as silent, and as long again before it counts as dead. */
export const LIVE_FOR_MS = 4_000;
const FORGOTTEN_AFTER_MS = 60_000;

/**
 * Who lives, by Redis' clock. Beats once a second for itself, and keeps the last view while Redis is away: an empty or
 * failed answer never means that nobody else is there. Who said goodbye is gone at once, who fell silent a liveness
 * window later. Views only save work; correctness does not rest on them.
 */
export class Membership {
  readonly #redis: Redis;
  readonly #log: Log;
  #self: Member;
  #view: readonly Member[];
  #seen: ReadonlyMap<string, SeenMember> = new Map();
  /** Infos of the last answer that could not be read: each is logged once while it is there. */
  #unreadable: ReadonlySet<unknown> = new Set();
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

  /** What others hear with the next beat. @param trouble a code, or undefined: none */
  tell(trouble: string | undefined): void {
    const { id, role, address } = this.#self;
    this.#self = { id, role, address, ...(trouble !== undefined && { trouble }) };
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
    const live = this.#readable(asArray('heartbeat', reply[1]));
    live.push(this.#self);
    const left = new Set(asArray('heartbeat', reply[2]).map((id) => asText('heartbeat', id)));
    this.#seen = nextSeen(this.#seen, live, left, performance.now(), LIVE_FOR_MS);
    const members = Array.from(this.#seen.values(), ({ member }) => member);
    members.sort((a, b) => (a.id < b.id ? -1 : 1));
    const changed = JSON.stringify(members) !== JSON.stringify(this.#view);
    this.#view = members;
    if (changed) for (const listener of this.#listeners) listener(members);
  }

  /** One member of another version, or a damaged entry, does not hide the others. */
  #readable(infos: readonly unknown[]): Member[] {
    const members: Member[] = [];
    const unreadable = new Set<unknown>();
    for (const info of infos) {
      const member = readMember(info);
      if (member !== undefined) members.push(member);
      else unreadable.add(info);
    }
    for (const info of unreadable) {
      if (!this.#unreadable.has(info)) this.#log.warn({ event: 'member_unreadable', info });
    }
    this.#unreadable = unreadable;
    return members;
  }
}

/** undefined for a goodbye and for what cannot be read. */
export function readMember(info: unknown): Member | undefined {
  if (typeof info !== 'string') return undefined;
  try {
    return memberSchema.safeParse(JSON.parse(info)).data;
  } catch {
    return undefined;
  }
}
