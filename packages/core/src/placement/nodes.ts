import { type Redis, redisTimeMs } from '../redis/client.ts';
import { classifyRedisError } from '../redis/errors.ts';
import { GLOBAL_KEYS } from '../table/keys.ts';
import { LIVE_FOR_MS, type Member, readMember } from './members.ts';

/** A member as Redis knows it, whoever asks. */
export interface Node {
  readonly member: Member;
  /** Its last heartbeat, by Redis' clock, milliseconds since 1970. */
  readonly lastSeenMs: number;
  /** Within the window that silence is forgiven. */
  readonly isLive: boolean;
}

/** Who beats, and who has fallen silent within the last minute; not who has said goodbye. By role and id. */
export async function readNodes(redis: Redis): Promise<Node[]> {
  let beats: string[];
  let infos: Record<string, string>;
  let nowMs: number;
  try {
    [beats, infos, nowMs] = await Promise.all([
      redis.zrange(GLOBAL_KEYS.members, '0', '-1', 'WITHSCORES'),
      redis.hgetall(GLOBAL_KEYS.memberInfo),
      redisTimeMs(redis),
    ]);
  } catch (error) {
    throw classifyRedisError(error);
  }
  const nodes: Node[] = [];
  for (let at = 0; at + 1 < beats.length; at += 2) {
    const member = readMember(infos[beats[at]!]);
    const lastSeenMs = Number(beats[at + 1]);
    if (member !== undefined) nodes.push({ member, lastSeenMs, isLive: nowMs - lastSeenMs <= LIVE_FOR_MS });
  }
  return nodes.sort((a, b) => (orderOf(a) < orderOf(b) ? -1 : 1));
}

const orderOf = ({ member }: Node) => `${member.role} ${member.id}`;
