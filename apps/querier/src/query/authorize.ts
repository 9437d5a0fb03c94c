import type { ClusterSecret } from '@miniodb/core/auth/cluster-secret.ts';
import type { Directory } from '@miniodb/core/auth/directory.ts';
import type { Principal } from '@miniodb/core/auth/principal.ts';
import { openVoucher, queryHashOf, type Vouched, type VouchedQuery } from '@miniodb/core/auth/voucher.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';

/** Who asks, and the one query that he was let ask. */
export interface Caller {
  readonly principal: Principal;
  readonly queryHash: string;
}

/**
 * Who asks, for a querier: the gateway vouches for the user, and what that one may read is looked up here again, so
 * that neither a stranger on the queriers' port nor a gateway that forgot to ask reads a table.
 */
export class CallerCheck {
  readonly #directory: Directory;
  readonly #secret: Pick<ClusterSecret, 'current' | 'hasChangedFrom'>;
  readonly #nowMs: () => number;

  /** @param nowMs milliseconds since 1970, by Redis' clock */
  constructor(
    directory: Directory,
    secret: Pick<ClusterSecret, 'current' | 'hasChangedFrom'>,
    nowMs: () => number,
  ) {
    this.#directory = directory;
    this.#secret = secret;
    this.#nowMs = nowMs;
  }

  /** Throws `permission_denied`: `voucher_refused`, or `user_unknown` for a user that only the gateway knows. */
  async callerOf(voucher: string): Promise<Caller> {
    const { user, queryHash } = await this.#open(voucher);
    const principal = this.#directory.principal(user);
    if (principal !== undefined) return { principal, queryHash };
    throw new MiniodbError(
      'permission_denied',
      `the configuration of this querier has no user ${JSON.stringify(user)}`,
      { code: 'user_unknown' },
    );
  }

  async #open(voucher: string): Promise<Vouched> {
    const secret = await this.#secret.current();
    let opened = openVoucher(secret, voucher, this.#nowMs());
    // The secret may have been replaced since it was read here.
    if (opened.verdict === 'forged' && (await this.#secret.hasChangedFrom(secret))) {
      opened = openVoucher(await this.#secret.current(), voucher, this.#nowMs());
    }
    if (opened.verdict === 'good') return opened.vouched;
    throw refused(opened.verdict);
  }
}

/** Throws `permission_denied`/`voucher_refused` for another query than the gateway has vouched for. */
export function requireVouched(caller: Caller, query: VouchedQuery): void {
  if (queryHashOf(query) !== caller.queryHash) throw refused('it is for another one');
}

function refused(why: string): MiniodbError {
  return new MiniodbError('permission_denied', `no gateway vouches for this query: ${why}`, {
    code: 'voucher_refused',
  });
}
