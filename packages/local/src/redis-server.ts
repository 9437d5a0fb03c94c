import { mkdirSync } from 'node:fs';
import { totalmem } from 'node:os';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { freePort, LOOPBACK } from './ports.ts';
import { ManagedProcess } from './process.ts';
import { findOnPath } from './program-path.ts';
import { answersPing } from './redis-probe.ts';
import { runCommand } from './run-command.ts';

/** An append-only file is read back first, and a dev cluster's may hold everything that was ever pending. */
const READY_MS_MAX = 60_000;
/** Somebody else may take a free port between the look and Redis' own bind. */
const PORT_TRIES_MAX = 5;
const MAX_MEMORY_BYTES_MAX = 2 * 1024 ** 3;

export interface RedisOptions {
  /** Path of redis-server, as locateRedis found it. */
  readonly program: string;
  /** Where its append-only file is, and is read from when it is there. */
  readonly dataDir: string;
  readonly logFile: string;
  readonly pidFile?: string;
  /** Default: a free one. */
  readonly port?: number;
  /** Default: a quarter of the machine's memory, at most 2 GiB. Writes are refused beyond it, nothing is evicted. */
  readonly maxMemoryBytes?: number;
}

export interface RedisServer {
  readonly url: string;
  readonly port: number;
  readonly process: ManagedProcess;
  /** SIGTERM; everything acknowledged is in the append-only file already. */
  stop(): Promise<void>;
}

/**
 * A Redis on loopback that keeps what it acknowledged: its append-only file is synced before every answer, also while
 * it is being rewritten. That file alone is its state, so there are no RDB save points; one that a power failure cut
 * off in the middle of a command is read up to there. Resolves when it takes commands.
 *
 * Throws `failed_precondition`/`port_in_use`, `unavailable`/`process_exited` or `process_not_ready`.
 */
export async function startRedis(options: RedisOptions): Promise<RedisServer> {
  mkdirSync(options.dataDir, { recursive: true });
  for (let attempt = 1; ; attempt += 1) {
    const port = options.port ?? (await freePort());
    const started = await ManagedProcess.start(await withParentDeath(options, port));
    try {
      await waitUntilReady(started, port);
      return {
        url: `redis://${LOOPBACK}:${port}`,
        port,
        process: started,
        stop: async () => void (await started.stop()),
      };
    } catch (error) {
      const portTaken = /Address already in use/.test(started.output());
      await started.kill();
      if (!portTaken) throw error;
      if (options.port !== undefined || attempt === PORT_TRIES_MAX) {
        throw new MiniodbError('failed_precondition', `port ${port} is in use`, {
          code: 'port_in_use',
          cause: error,
        });
      }
    }
  }
}

async function waitUntilReady(redis: ManagedProcess, port: number): Promise<void> {
  await redis.until('ready', READY_MS_MAX, async () => {
    // While it has not bound the port, whoever answers there is another server.
    if (!/Ready to accept connections/.test(redis.output())) return undefined;
    return (await answersPing(port, LOOPBACK)) ? true : undefined;
  });
}

function serverArguments(options: RedisOptions, port: number): string[] {
  const maxMemoryBytes = options.maxMemoryBytes ?? Math.min(Math.floor(totalmem() / 4), MAX_MEMORY_BYTES_MAX);
  const settings: Record<string, string> = {
    port: String(port),
    bind: LOOPBACK,
    dir: options.dataDir,
    daemonize: 'no',
    appendonly: 'yes',
    appendfsync: 'always',
    'no-appendfsync-on-rewrite': 'no',
    'aof-load-truncated': 'yes',
    save: '',
    maxmemory: String(maxMemoryBytes),
    'maxmemory-policy': 'noeviction',
    // 511 is more than what many machines allow, and only costs a warning at every start.
    'tcp-backlog': '128',
  };
  return Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
}

/**
 * Redis does not notice the death of its parent. Where the kernel can tell it (Linux, by util-linux' setpriv, which
 * then becomes the server), it is asked to; elsewhere the next start on the data directory ends it.
 */
async function withParentDeath(options: RedisOptions, port: number) {
  const { program, logFile, pidFile } = options;
  const args = serverArguments(options, port);
  const common = { name: 'redis', logFile, ...(pidFile === undefined ? {} : { pidFile }) };
  const setpriv = process.platform === 'linux' ? findOnPath('setpriv') : undefined;
  const help =
    setpriv === undefined ? undefined : await runCommand(setpriv, ['--help'], { timeoutMs: 5_000 });
  if (setpriv === undefined || !help?.output.includes('--pdeathsig'))
    return { ...common, command: program, args };
  return { ...common, command: setpriv, args: ['--pdeathsig', 'TERM', program, ...args] };
}
