import { setTimeout as sleep } from 'node:timers/promises';
import { asMiniodbError, type MiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { Look } from './monitor-views.ts';
import type { Output } from './output.ts';
import { printable } from './terminal.ts';

const PAUSE_MS = 2_000;
/** Cursor to the corner, and nothing left behind it. */
const CLEAR = '\u001b[H\u001b[2J';

interface Watch<Found> {
  readonly look: (signal: AbortSignal) => Promise<Found>;
  readonly show: (now: Look<Found>, before: Look<Found> | undefined) => string;
  readonly isJson: boolean;
}

/** Looks and shows until Ctrl-C. A gateway that is away for a while is said and waited for; other errors are thrown. */
export async function watch<Found>(out: Output, { look, show, isJson }: Watch<Found>): Promise<void> {
  const stop = new AbortController();
  const onSignal = () => stop.abort();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, onSignal);
  let before: Look<Found> | undefined;
  try {
    while (!stop.signal.aborted && !out.isClosed) {
      try {
        const now = { found: await look(stop.signal), atMs: performance.now() };
        const text = show(now, before);
        before = now;
        await (isJson ? out.json(text) : out.write(`${CLEAR}${fitted(text, out.height)}`));
      } catch (thrown) {
        const error = asMiniodbError(thrown);
        if (stop.signal.aborted) break;
        if (!passes(error)) throw thrown;
        await (isJson ? out.error(error, true) : out.write(`${CLEAR}${printable(error.message)}\n`));
      }
      await sleep(PAUSE_MS, undefined, { signal: stop.signal }).catch(() => undefined);
    }
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, onSignal);
  }
}

function passes({ kind }: MiniodbError): boolean {
  return kind === 'unavailable' || kind === 'deadline_exceeded' || kind === 'resource_exhausted';
}

/** What does not fit would scroll the top away; the last line is the cursor's. */
function fitted(text: string, height: number): string {
  const lines = text.split('\n');
  if (lines.length <= height) return text;
  const kept = lines.slice(0, Math.max(1, height - 2));
  return `${kept.join('\n')}\n… ${lines.length - 1 - kept.length} more lines\n`;
}
