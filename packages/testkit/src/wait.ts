import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Waits until a condition holds and answers what it gave. @param what for the error, as a sentence's subject and verb:
 * "the seal is committed"
 */
export async function waitFor<Value>(
  what: string,
  condition: () => Promise<Value | undefined | false> | Value | undefined | false,
  timeoutMs = 20_000,
): Promise<Value> {
  const deadline = Date.now() + timeoutMs;
  let lastError: unknown;
  for (;;) {
    try {
      const value = await condition();
      if (value !== undefined && value !== false) return value;
      lastError = undefined;
    } catch (error) {
      lastError = error;
    }
    if (Date.now() > deadline) {
      throw new Error(
        `not within ${timeoutMs} ms: ${what}`,
        lastError === undefined ? undefined : { cause: lastError },
      );
    }
    await sleep(20);
  }
}
