import type { Member } from './members.ts';

/** A member that was seen; `silentSinceMs` (monotonic) from the first answer that lacks it. */
export interface SeenMember {
  readonly member: Member;
  readonly silentSinceMs?: number;
}

/**
 * Who counts as there after an answer: who it names, and for `graceMs` who was seen before and has not said goodbye.
 * Without it a jump of Redis' clock, or an outage longer than the liveness window, leaves nearly nobody until all have
 * beaten again.
 */
export function nextSeen(
  seen: ReadonlyMap<string, SeenMember>,
  live: readonly Member[],
  left: ReadonlySet<string>,
  nowMs: number,
  graceMs: number,
): Map<string, SeenMember> {
  const next = new Map(live.map((member) => [member.id, { member } as SeenMember]));
  for (const [id, { member, silentSinceMs = nowMs }] of seen) {
    if (next.has(id) || left.has(id) || nowMs - silentSinceMs >= graceMs) continue;
    next.set(id, { member, silentSinceMs });
  }
  return next;
}
