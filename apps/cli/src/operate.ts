import { Directory } from '@miniodb/core/auth/directory.ts';
import { inspectConfig } from '@miniodb/core/config/load.ts';
import { configError } from '@miniodb/core/config/problem.ts';
import { closeRedis, openRedis, type Redis, whenReady } from '@miniodb/core/redis/client.ts';
import { asMiniodbError } from '@miniodb/core/runtime/errors.ts';
import { silentLog } from '@miniodb/core/runtime/log.ts';
import { findRunningRedis } from '@miniodb/local/redis-find.ts';
import { type Command, Option } from 'commander';
import { exitCodeOf } from './exit-codes.ts';
import { printable } from './terminal.ts';

const CONNECT_MS_MAX = 5_000;

/** Where commands find the cluster that they work on behind its servers: whoever has its Redis is its operator. */
export interface OperatorOptions {
  readonly config?: string;
  /** Empty: as the gateway would find it, or that of the cluster that runs in dataDir. */
  readonly redisUrl: string;
  readonly dataDir: string;
}

export function addOperatorOptions(command: Command): Command {
  return command
    .option('--config <file>', 'configuration file (default: MINIODB_CONFIG, or ./config.yaml)')
    .addOption(new Option('--redis-url <url>', 'Redis of the cluster').env('REDIS_URL').default(''))
    .addOption(
      new Option('--data-dir <path>', 'of a cluster on this machine, if no Redis is given')
        .env('MINIODB_DATA_DIR')
        .default('.data'),
    );
}

export interface Operator {
  readonly redis: Redis;
  readonly directory: Directory;
}

/** Does the work of one command. What goes wrong is said on stderr, and in the exit code. */
export async function operate(
  options: OperatorOptions,
  work: (operator: Operator) => Promise<void>,
): Promise<void> {
  try {
    await withOperator(options, work);
  } catch (error) {
    const { message, code } = asMiniodbError(error);
    process.stderr.write(`${printable(`error: ${message} (${code})`)}\n`);
    process.exitCode = exitCodeOf(error);
  }
}

async function withOperator(
  options: OperatorOptions,
  work: (operator: Operator) => Promise<void>,
): Promise<void> {
  const env = { ...process.env, ...(options.redisUrl === '' ? {} : { REDIS_URL: options.redisUrl }) };
  const { settings, problems } = inspectConfig(options.config, { env, directory: process.cwd() });
  if (problems.length > 0) throw configError(problems);
  const gateway = settings.find(({ role }) => role === 'gateway')!;
  const running =
    gateway.originOf('REDIS_URL') === 'default' ? await findRunningRedis(options.dataDir) : undefined;
  const redis = openRedis({
    url: running ?? gateway.get('REDIS_URL'),
    connectionName: 'miniodb-cli',
    log: silentLog(),
  });
  try {
    await whenReady(redis, CONNECT_MS_MAX);
    await work({ redis, directory: new Directory(gateway.permissions) });
  } finally {
    await closeRedis(redis);
  }
}
