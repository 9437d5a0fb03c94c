import { randomUUID } from 'node:crypto';

const SANE = /^[A-Za-z0-9._:-]{1,128}$/;

/** The caller's own id of a request when it can safely stand in logs and headers, else a random one. */
export function requestIdOf(offered: unknown): string {
  return typeof offered === 'string' && SANE.test(offered) ? offered : randomUUID();
}
