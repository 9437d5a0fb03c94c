import { setTimeout as sleep } from 'node:timers/promises';
import { MiniodbError } from './errors.ts';

/**
 * Crash points: names between every two durable effects, asked for by the environment variable FAILPOINTS and
 * no-ops otherwise. A comma-separated list of
 *
 *   name=kill@n     the process kills itself with SIGKILL at the n-th pass (1 when left out)
 *   name=pause:ms   every pass waits that long
 *   name=error      every pass throws `unavailable`/`failpoint`
 */
export type Failpoint =
  | 'gw.recv'
  | 'gw.validated'
  | 'gw.enqueue.before'
  | 'gw.enqueue.after'
  | 'gw.reply'
  | 'fl.claim'
  | 'fl.seal.before'
  | 'fl.seal.after'
  | 'fl.encode'
  | 'fl.put.before'
  | 'fl.put.after'
  | 'fl.commit.before'
  | 'fl.commit.after'
  | 'dt.switch'
  | 'dt.collect'
  | 'rt.unindex'
  | 'bk.pin'
  | 'bk.manifest'
  | 'rs.copy'
  | 'rs.index'
  | 'cp.plan'
  | 'cp.put'
  | 'cp.swap.before'
  | 'cp.swap.after'
  | 'gc.mark'
  | 'gc.delete';

type Action = { kind: 'kill'; passesLeft: number } | { kind: 'pause'; ms: number } | { kind: 'error' };

const actions = parse(process.env.FAILPOINTS ?? '');

function parse(text: string): ReadonlyMap<string, Action> {
  const parsed = new Map<string, Action>();
  for (const item of text.split(',').filter((part) => part !== '')) {
    const match = /^([a-z.]+)=(?:(kill)(?:@(\d+))?|(pause):(\d+)|(error))$/.exec(item.trim());
    if (match === null) throw new Error(`FAILPOINTS: cannot read "${item}"`);
    if (match[2]) parsed.set(match[1]!, { kind: 'kill', passesLeft: Number(match[3] ?? '1') });
    else if (match[4]) parsed.set(match[1]!, { kind: 'pause', ms: Number(match[5]) });
    else parsed.set(match[1]!, { kind: 'error' });
  }
  return parsed;
}

/** Nothing at all unless FAILPOINTS names it. */
export async function failpoint(name: Failpoint): Promise<void> {
  if (actions.size === 0) return;
  const action = actions.get(name);
  if (action === undefined) return;
  if (action.kind === 'pause') await sleep(action.ms);
  else if (action.kind === 'error')
    throw new MiniodbError('unavailable', `failpoint ${name}`, { code: 'failpoint' });
  else {
    action.passesLeft -= 1;
    if (action.passesLeft === 0) {
      process.kill(process.pid, 'SIGKILL');
      // The signal arrives asynchronously: nothing after this point may run.
      await new Promise(() => {});
    }
  }
}
