import { join } from 'node:path';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { findOnPath, isExecutable } from './program-path.ts';
import { type InstallWay, installWays } from './redis-install.ts';
import { runCommand } from './run-command.ts';

/** The verbs start with `#!lua flags=…`, which older servers do not understand. */
export const REDIS_MAJOR_MIN = 7;

export interface LocateOptions {
  /** Where a server is unpacked when the machine has none and nothing may be installed. */
  readonly softwareDir: string;
  /** Told what is going on when it takes longer than a look at the disk. */
  readonly onProgress?: (message: string) => void;
  /** Default: what suits this machine. */
  readonly ways?: readonly InstallWay[];
  readonly env?: NodeJS.ProcessEnv;
}

/**
 * Path of a redis-server of version 7 or newer. Looked for in this order: MINIODB_REDIS_SERVER, the PATH, one
 * unpacked earlier; then it is brought here by the ways that suit the machine: the package manager for root on
 * Debian and its relatives, their packages unpacked into softwareDir for everybody else there, Homebrew.
 *
 * Throws `failed_precondition`/`redis_not_found`, saying what was tried and what to do.
 */
export async function locateRedis(options: LocateOptions): Promise<string> {
  const env = options.env ?? process.env;
  const tried: string[] = [];
  const usable = async (path: string | undefined, from: string) => {
    if (path === undefined) return undefined;
    const problem = await problemOf(path);
    if (problem === undefined) return path;
    tried.push(`${path} (${from}): ${problem}`);
    return undefined;
  };
  const unpacked = join(options.softwareDir, 'redis-server');
  const there =
    (await usable(env.MINIODB_REDIS_SERVER || undefined, 'MINIODB_REDIS_SERVER')) ??
    (await usable(findOnPath('redis-server', env), 'PATH')) ??
    (await usable(isExecutable(unpacked) ? unpacked : undefined, 'unpacked earlier'));
  if (there !== undefined) return there;

  for (const way of options.ways ?? installWays(env)) {
    options.onProgress?.(way.progress);
    try {
      const path = await usable(await way.install({ softwareDir: options.softwareDir, env }), way.name);
      if (path !== undefined) return path;
    } catch (error) {
      tried.push(`${way.name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  throw new MiniodbError(
    'failed_precondition',
    [
      `no redis-server of version ${REDIS_MAJOR_MIN} or newer is here and none could be brought here.`,
      ...tried.map((line) => `  ${line}`),
      'Install one (https://redis.io/docs/latest/operate/oss_and_stack/install/), or point REDIS_URL at a running',
      'server, for example REDIS_URL=redis://127.0.0.1:6379, or MINIODB_REDIS_SERVER at the program.',
    ].join('\n'),
    { code: 'redis_not_found' },
  );
}

/** Why this program cannot serve; undefined when it can. */
async function problemOf(path: string): Promise<string | undefined> {
  const { exitCode, output } = await runCommand(path, ['--version'], { timeoutMs: 10_000 });
  if (exitCode !== 0) return `does not run: ${output.trim()}`;
  const version = /v=(\d+)\.(\d+)\.(\d+)/.exec(output);
  if (version === null) return `does not tell its version: ${output.trim().slice(0, 200)}`;
  const [, major, minor, patch] = version;
  return Number(major) >= REDIS_MAJOR_MIN ? undefined : `is version ${major}.${minor}.${patch}`;
}
