import { setTimeout as sleep } from 'node:timers/promises';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { Answer, RestClient } from './client.ts';
import type { Task } from './client-answers.ts';
import { printable } from './terminal.ts';

const LOOK_EVERY_MS = 300;

/**
 * Waits for the end of a backup or a restore, with its progress on a terminal's stderr. It goes on where this command ends
 * before. Throws what it failed with, under its code.
 */
export async function endOfTask(client: RestClient, { id }: Task): Promise<Answer<Task>> {
  const bar = new ProgressLine(process.stderr);
  try {
    for (;;) {
      const answer = await client.lookAtTask(id);
      const { state, progress, failure } = answer.body;
      if (state === 'done') return answer;
      if (state === 'failed') {
        const { code, message } = failure ?? { code: 'task_failed', message: 'it failed' };
        throw new MiniodbError('failed_precondition', `${id}: ${message}`, { code });
      }
      const far = progress === null ? state : `${progress.step} ${progress.done} of ${progress.of}`;
      bar.show(`${id}: ${far}`);
      await sleep(LOOK_EVERY_MS);
    }
  } finally {
    bar.clear();
  }
}

/** One line that is written over; nothing where there is no terminal. */
class ProgressLine {
  readonly #stream: typeof process.stderr;

  constructor(stream: typeof process.stderr) {
    this.#stream = stream;
  }

  show(text: string): void {
    if (this.#stream.isTTY) this.#stream.write(`\r\u001b[2K${printable(text)}`);
  }

  clear(): void {
    if (this.#stream.isTTY) this.#stream.write('\r\u001b[2K');
  }
}
