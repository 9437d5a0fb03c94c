import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { STOP_MS_MAX } from './process.ts';
import { isAlive, type ProcessRecord, parseRecord } from './process-identity.ts';

const POLL_MS = 50;

/**
 * Ends what a supervisor that was killed left running, found by its pid files: the roles first, which still need
 * Redis to drain, then Redis. To be called with the data directory locked.
 *
 * @param onOrphan told each name before it is waited for
 */
export async function stopOrphans(
  runDir: string,
  onOrphan: (name: string, pid: number) => void,
): Promise<void> {
  const orphans = readdirSync(runDir)
    .filter((file) => file.endsWith('.json'))
    .map((file) => ({ name: file.slice(0, -'.json'.length), file: join(runDir, file) }));
  const isRedis = (name: string) => name === 'redis';
  await Promise.all(
    orphans.filter(({ name }) => !isRedis(name)).map((orphan) => stopOrphan(orphan, onOrphan)),
  );
  await Promise.all(
    orphans.filter(({ name }) => isRedis(name)).map((orphan) => stopOrphan(orphan, onOrphan)),
  );
}

async function stopOrphan(
  { name, file }: { readonly name: string; readonly file: string },
  onOrphan: (name: string, pid: number) => void,
): Promise<void> {
  const record = parseRecord(readFileSync(file, 'utf8'));
  if (record !== undefined && isAlive(record)) {
    onOrphan(name, record.pid);
    process.kill(record.pid, 'SIGTERM');
    if (!(await endsWithin(record, STOP_MS_MAX))) process.kill(record.pid, 'SIGKILL');
    await endsWithin(record, STOP_MS_MAX);
  }
  rmSync(file, { force: true });
}

async function endsWithin(record: ProcessRecord, ms: number): Promise<boolean> {
  const deadline = performance.now() + ms;
  while (isAlive(record)) {
    if (performance.now() > deadline) return false;
    await sleep(POLL_MS);
  }
  return true;
}
