import { type ErrorKind, MiniodbError } from '@miniodb/core/runtime/errors.ts';

/** What scripts may rely on. A second Ctrl-C ends with 130, as the shell's own do. */
export const EXIT = {
  ok: 0,
  /** It was tried and it failed, or an answer was not what it must be. */
  failed: 1,
  /** The command line itself is wrong. */
  usage: 2,
  notFound: 3,
  /** Not allowed to this caller, or not in this state. */
  refused: 4,
  /** What it needs is not there: no gateway or Redis, a port or a data directory in use; later it may be. */
  environment: 5,
  interrupted: 130,
} as const;

export const EXIT_HELP = `
Exit codes:
  0    done
  1    it failed, or the answer is bad news (health, config check)
  2    the command line is wrong
  3    what it names does not exist
  4    refused: not allowed to this caller, or not possible in this state
  5    what it needs is not there: nobody answers, a limit is reached for now,
       a port or a data directory is in use
  130  ended by a second Ctrl-C
`;

const ENVIRONMENT_CODES: ReadonlySet<string> = new Set([
  'port_in_use',
  'data_dir_in_use',
  'data_dir_not_writable',
  'redis_not_found',
  'redis_unavailable',
]);

const EXIT_OF_KIND: Readonly<Record<ErrorKind, number>> = {
  invalid_argument: EXIT.failed,
  unauthenticated: EXIT.refused,
  permission_denied: EXIT.refused,
  not_found: EXIT.notFound,
  already_exists: EXIT.refused,
  failed_precondition: EXIT.refused,
  resource_exhausted: EXIT.environment,
  unavailable: EXIT.environment,
  // Trying again may do it twice: a script must not take this for "later".
  outcome_unknown: EXIT.failed,
  deadline_exceeded: EXIT.environment,
  cancelled: EXIT.failed,
  unimplemented: EXIT.failed,
  data_corrupted: EXIT.failed,
  internal: EXIT.failed,
};

export function exitCodeOf(error: unknown): number {
  if (!(error instanceof MiniodbError)) return EXIT.failed;
  return ENVIRONMENT_CODES.has(error.code) ? EXIT.environment : EXIT_OF_KIND[error.kind];
}
