import type { Log } from './log.ts';

/** The drain must be over by then; what is left is dropped, which loses nothing that was acknowledged. */
export const DRAIN_MS_MAX = 25_000;

export interface RunningRole {
  /** Takes no new work, finishes what it has, closes what it opened. */
  drain(): Promise<void>;
}

/**
 * Runs a role until SIGTERM or SIGINT, or until the parent's pipe closes when MINIODB_PARENT_PIPE=1 (a supervisor that
 * was killed must not leave orphans). Then drains and exits: 0 when the drain was complete, 1 when it was not.
 * A start that fails logs why and exits 1.
 */
export async function runRole(log: Log, start: () => Promise<RunningRole>): Promise<void> {
  const stopped = Promise.withResolvers<string>();
  process.once('SIGTERM', () => stopped.resolve('SIGTERM'));
  process.once('SIGINT', () => stopped.resolve('SIGINT'));
  process.on('unhandledRejection', (error) => {
    log.fatal({ event: 'unhandled_rejection', err: error });
    process.exit(1);
  });
  process.on('uncaughtException', (error) => {
    log.fatal({ event: 'uncaught_exception', err: error });
    process.exit(1);
  });
  if (process.env.MINIODB_PARENT_PIPE === '1') {
    process.stdin.on('end', () => stopped.resolve('parent is gone'));
    process.stdin.on('error', () => stopped.resolve('parent is gone'));
    process.stdin.resume();
  }

  let role: RunningRole;
  try {
    role = await start();
  } catch (error) {
    log.fatal({ event: 'start_failed', err: error });
    process.exit(1);
  }
  const reason = await stopped.promise;
  log.info({ event: 'draining', reason });
  const timer = setTimeout(() => {
    log.error({ event: 'drain_timeout', ms: DRAIN_MS_MAX });
    process.exit(1);
  }, DRAIN_MS_MAX);
  try {
    await role.drain();
  } catch (error) {
    log.error({ event: 'drain_failed', err: error });
    process.exit(1);
  }
  clearTimeout(timer);
  log.info({ event: 'drained' });
  process.exit(0);
}
