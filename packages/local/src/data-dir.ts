import { constants, linkSync, mkdirSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { access } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { isAlive, parseRecord, recordOf } from './process-identity.ts';

/** Two starters can meet at a stale lock; each round one of them wins for good. */
const LOCK_ROUNDS_MAX = 5;

/**
 * Where a local cluster keeps everything:
 *
 *   lock                    which process owns the directory
 *   run/<name>.json         the processes it started
 *   logs/<name>.log         what they say
 *   redis/data              Redis' append-only file: rows that are not in a Parquet file yet, and the index
 *   redis/software          a redis-server of our own, where the machine has none
 *   olap-data/              the objects, when they are not in S3
 *   work/<name>             scratch space of a flusher, file cache of a querier
 */
export class DataDir {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /**
   * Creates the directory where it is missing and takes its lock until `unlock` or the end of this process.
   * Throws `failed_precondition`: `data_dir_not_writable`, or `data_dir_in_use` while another process has it.
   */
  static async lock(path: string): Promise<DataDir> {
    const dataDir = new DataDir(resolve(path));
    try {
      for (const folder of ['run', 'logs', 'redis/data', 'work']) {
        mkdirSync(join(dataDir.path, folder), { recursive: true });
      }
      await access(dataDir.path, constants.W_OK);
      takeLock(dataDir.lockFile);
    } catch (error) {
      throw asDataDirError(error, dataDir.path);
    }
    return dataDir;
  }

  get lockFile(): string {
    return join(this.path, 'lock');
  }
  get runDir(): string {
    return join(this.path, 'run');
  }
  get redisDataDir(): string {
    return join(this.path, 'redis', 'data');
  }
  get redisSoftwareDir(): string {
    return join(this.path, 'redis', 'software');
  }
  get objectsDir(): string {
    return join(this.path, 'olap-data');
  }
  logFile(name: string): string {
    return join(this.path, 'logs', `${name}.log`);
  }
  workDir(name: string): string {
    return join(this.path, 'work', name);
  }

  /** Gives the directory back. Nothing that was started on it may run any more. */
  unlock(): void {
    unlinkSync(this.lockFile);
  }
}

function takeLock(lockFile: string): void {
  // Linked into place with its text already in it: nobody ever sees an empty lock and takes it for a stale one.
  const own = `${lockFile}.${process.pid}.own`;
  writeFileSync(own, JSON.stringify(recordOf(process.pid)));
  try {
    for (let round = 0; round < LOCK_ROUNDS_MAX; round += 1) {
      if (linkUnlessThere(own, lockFile)) return;
      removeStaleLock(lockFile);
    }
  } finally {
    unlinkSync(own);
  }
  throw new MiniodbError('failed_precondition', 'other processes keep taking its lock', {
    code: 'data_dir_in_use',
  });
}

function linkUnlessThere(file: string, link: string): boolean {
  try {
    linkSync(file, link);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/**
 * Between reading a stale lock and removing it another starter may have put its own there. Therefore it is moved
 * aside first, looked at again, and put back unless it is the stale one.
 */
function removeStaleLock(lockFile: string): void {
  const text = readIfThere(lockFile);
  if (text === undefined) return;
  const owner = parseRecord(text);
  if (owner !== undefined && isAlive(owner)) {
    throw new MiniodbError('failed_precondition', `process ${owner.pid} is using this data directory`, {
      code: 'data_dir_in_use',
      details: { pid: owner.pid },
    });
  }
  const aside = `${lockFile}.${process.pid}.stale`;
  try {
    renameSync(lockFile, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  if (readFileSync(aside, 'utf8') !== text) linkUnlessThere(aside, lockFile);
  unlinkSync(aside);
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function asDataDirError(error: unknown, path: string): MiniodbError {
  if (error instanceof MiniodbError) {
    return new MiniodbError(error.kind, `${path}: ${error.message}`, { code: error.code, cause: error });
  }
  const reason = error instanceof Error ? error.message : String(error);
  return new MiniodbError('failed_precondition', `cannot write to the data directory ${path}: ${reason}`, {
    code: 'data_dir_not_writable',
    cause: error,
  });
}
