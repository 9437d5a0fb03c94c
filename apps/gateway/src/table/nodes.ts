import { requireClusterAdmin } from '@miniodb/core/auth/principal.ts';
import { readNodes } from '@miniodb/core/placement/nodes.ts';
import type { CallContext, NodeInfo } from '../api.ts';
import type { ManageContext } from './manage.ts';

export async function listNodes({ redis }: ManageContext, { principal }: CallContext): Promise<NodeInfo[]> {
  requireClusterAdmin(principal);
  return (await readNodes(redis)).map(({ member, lastSeenMs, isLive }) => ({
    id: member.id,
    status: isLive ? 'live' : 'silent',
    type: member.role,
    address: member.address,
    lastSeen: Math.floor(lastSeenMs / 1_000),
  }));
}
