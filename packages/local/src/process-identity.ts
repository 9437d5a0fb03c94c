import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/**
 * Tells a process from a later one that was given the same pid: its start time, and the boot that the start time is
 * counted from. Undefined when there is no such process (a zombie, which only waits to be reaped, is none).
 */
export function processIdentity(pid: number): string | undefined {
  if (process.platform === 'linux') return identityFromProc(pid);
  const { status, stdout } = spawnSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' });
  return status === 0 ? stdout.trim() : undefined;
}

function identityFromProc(pid: number): string | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  // The second field is the program's name in parentheses and may hold anything, parentheses too.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const state = fields[0];
  const startTicks = fields[19];
  if (state === 'Z' || state === 'X') return undefined;
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  return `${boot}:${startTicks}`;
}

/** A process as it is written to a file, to be found again by whoever comes later. */
export interface ProcessRecord {
  readonly pid: number;
  readonly identity: string;
}

export function recordOf(pid: number): ProcessRecord | undefined {
  const identity = processIdentity(pid);
  return identity === undefined ? undefined : { pid, identity };
}

export function isAlive(record: ProcessRecord): boolean {
  return processIdentity(record.pid) === record.identity;
}

/** Undefined for anything that is not a record, such as a file that was cut off by a power failure. */
export function parseRecord(text: string): ProcessRecord | undefined {
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed !== 'object' || parsed === null) return undefined;
    const { pid, identity } = parsed as Partial<ProcessRecord>;
    return Number.isInteger(pid) && typeof identity === 'string' ? { pid: pid!, identity } : undefined;
  } catch {
    return undefined;
  }
}
