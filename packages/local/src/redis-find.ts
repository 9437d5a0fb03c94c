import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { LOOPBACK } from './ports.ts';
import { isAlive, parseRecord } from './process-identity.ts';
import { runCommand } from './run-command.ts';

const PS_TIMEOUT_MS = 5_000;

/** URL of the Redis that a cluster runs in this data directory now; undefined when none does. */
export async function findRunningRedis(dataDir: string): Promise<string | undefined> {
  const record = parseRecord(readIfThere(join(dataDir, 'run', 'redis.json')) ?? '');
  if (record === undefined || !isAlive(record)) return undefined;
  const port = portOf(await commandLine(record.pid));
  return port === undefined ? undefined : `redis://${LOOPBACK}:${port}`;
}

/** Redis puts `redis-server 127.0.0.1:6379` in the place of its arguments where the system lets it. */
function portOf(command: string): string | undefined {
  return /redis-server\b.*(?:--port[ =]|127\.0\.0\.1:|\*:)(\d{1,5})\b/.exec(command)?.[1];
}

async function commandLine(pid: number): Promise<string> {
  if (process.platform === 'linux') return (readIfThere(`/proc/${pid}/cmdline`) ?? '').replaceAll('\0', ' ');
  const options = { timeoutMs: PS_TIMEOUT_MS };
  return (await runCommand('ps', ['-o', 'command=', '-p', String(pid)], options)).output;
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
