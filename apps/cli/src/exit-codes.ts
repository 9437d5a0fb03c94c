import { MiniodbError } from '@miniodb/core/runtime/errors.ts';

/** What scripts may rely on. A second Ctrl-C ends with 130, as the shell's own do. */
export const EXIT = {
  ok: 0,
  /** It was tried and it failed, or an answer was not what it must be. */
  failed: 1,
  /** The command line itself is wrong. */
  usage: 2,
  /** This machine is not ready for it: a port in use, a data directory in use or not writable, no Redis. */
  environment: 3,
  interrupted: 130,
} as const;

const ENVIRONMENT_CODES: ReadonlySet<string> = new Set([
  'port_in_use',
  'data_dir_in_use',
  'data_dir_not_writable',
  'redis_not_found',
]);

export function exitCodeOf(error: unknown): number {
  return error instanceof MiniodbError && ENVIRONMENT_CODES.has(error.code) ? EXIT.environment : EXIT.failed;
}
