import type { ClusterSecret } from '@miniodb/core/auth/cluster-secret.ts';
import type { Directory } from '@miniodb/core/auth/directory.ts';
import type { Principal } from '@miniodb/core/auth/principal.ts';
import { checkVoucher, type Vouched } from '@miniodb/core/auth/voucher.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';

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
  async principalOf(vouched: Vouched, voucher: string): Promise<Principal> {
    await this.#requireVoucher(vouched, voucher);
    const principal = this.#directory.principal(vouched.user);
    if (principal !== undefined) return principal;
    throw new MiniodbError(
      'permission_denied',
      `the configuration of this querier has no user ${JSON.stringify(vouched.user)}`,
      { code: 'user_unknown' },
    );
  }

  async #requireVoucher(vouched: Vouched, voucher: string): Promise<void> {
    const secret = await this.#secret.current();
    let verdict = checkVoucher(secret, voucher, vouched, this.#nowMs());
    // The secret may have been replaced since it was read here.
    if (verdict === 'forged' && (await this.#secret.hasChangedFrom(secret))) {
      verdict = checkVoucher(await this.#secret.current(), voucher, vouched, this.#nowMs());
    }
    if (verdict === 'good') return;
    throw new MiniodbError('permission_denied', `no gateway vouches for this query: ${verdict}`, {
      code: 'voucher_refused',
    });
  }
}
