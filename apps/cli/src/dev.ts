import { resolve } from 'node:path';
import { asMiniodbError, MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { Cluster, type ClusterEvent } from '@miniodb/local/cluster.ts';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { EXIT, exitCodeOf } from './exit-codes.ts';
import { runSample } from './sample/run.ts';
import { printable, Terminal } from './terminal.ts';

/** One Ctrl-C arrives several times under `npm start`: from the terminal, from npm and from the start script. */
const ONE_PRESS_MS = 1_000;

export interface DevOptions {
  readonly sample: boolean;
  readonly once: boolean;
  readonly dataDir: string;
  readonly grpcPort: number;
  readonly restPort: number;
  /** Empty: one of our own. */
  readonly redisUrl: string;
  /** Empty: a directory below dataDir. */
  readonly storeUrl: string;
}

export function addDevCommand(program: Command, run: (options: DevOptions) => Promise<void>): void {
  program
    .command('dev')
    .description('Run a whole cluster on this machine, load sample data and answer queries until Ctrl-C')
    .option('--no-sample', 'start empty, without the sample data and its queries')
    .option('--once', 'stop after the sample', false)
    .addOption(
      new Option('--data-dir <path>', 'where everything is kept').env('MINIODB_DATA_DIR').default('.data'),
    )
    .addOption(
      new Option('--grpc-port <port>', 'port of gRPC; 0: a free one')
        .env('MINIODB_GRPC_PORT')
        .default(8080)
        .argParser(parsePort),
    )
    .addOption(
      new Option('--rest-port <port>', 'port of REST; 0: a free one')
        .env('MINIODB_REST_PORT')
        .default(8081)
        .argParser(parsePort),
    )
    .addOption(
      new Option('--redis-url <url>', 'a running Redis, instead of one of our own')
        .env('REDIS_URL')
        .default(''),
    )
    .addOption(
      new Option('--store-url <url>', 'an object store, instead of a directory')
        .env('MINIODB_STORE_URL')
        .default(''),
    )
    .action(run);
}

export function parsePort(text: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port <= 65_535) return port;
  throw new InvalidArgumentError('A port is a number from 0 to 65535.');
}

/** Runs until it is told to stop, or with `once` until the sample is through. @returns the exit code */
export async function runDev(options: DevOptions): Promise<number> {
  const terminal = new Terminal(process.stdout);
  const stop = new AbortController();
  let cluster: Cluster | undefined;
  let stoppingSinceMs = Number.POSITIVE_INFINITY;
  const onSignal = () => {
    if (stop.signal.aborted) {
      if (performance.now() - stoppingSinceMs < ONE_PRESS_MS) return;
      cluster?.killAll();
      process.exit(EXIT.interrupted);
    }
    terminal.line('stopping; press Ctrl-C again to stop at once');
    stoppingSinceMs = performance.now();
    stop.abort();
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal);
  try {
    cluster = await Cluster.start({
      dataDir: resolve(options.dataDir),
      grpcPort: options.grpcPort,
      restPort: options.restPort,
      ...(options.redisUrl === '' ? {} : { redisUrl: options.redisUrl }),
      ...(options.storeUrl === '' ? {} : { storeUrl: options.storeUrl }),
      onEvent: (event) => terminal.line(describeEvent(event)),
    });
    await serve(options, cluster, terminal, stop.signal);
    return EXIT.ok;
  } catch (error) {
    if (stop.signal.aborted) return EXIT.ok;
    process.stderr.write(`${printable(`error: ${explain(error, options)}`)}\n`);
    return exitCodeOf(error);
  } finally {
    await cluster?.stop();
  }
}

async function serve(
  options: DevOptions,
  cluster: Cluster,
  terminal: Terminal,
  stop: AbortSignal,
): Promise<void> {
  const { host, grpcPort, restPort } = cluster.endpoint;
  const restUrl = `http://${host}:${restPort}`;
  const grpcAddress = `${host}:${grpcPort}`;
  if (options.sample && !stop.aborted) {
    await runSample({ dataDir: cluster.dataDir.path, grpcAddress, restUrl, terminal, signal: stop });
  }
  terminal.line();
  terminal.line(`gRPC       ${grpcAddress}   (olap.v1.OlapService, with reflection)`);
  terminal.line(`REST       ${restUrl}`);
  terminal.line(`data, logs ${cluster.dataDir.path}`);
  terminal.line('Try:');
  terminal.line(`  curl -s ${restUrl}/v1/query -H 'content-type: application/json' \\`);
  terminal.line(
    `    -d '{"sql": "SELECT ${options.sample ? 'count(*) AS flights FROM flights' : '42 AS answer'}"}'`,
  );
  if (options.once || stop.aborted) return;
  terminal.line('Ctrl-C stops it.');
  await new Promise((resolveStopped) => stop.addEventListener('abort', resolveStopped, { once: true }));
}

export function describeEvent(event: ClusterEvent): string {
  switch (event.kind) {
    case 'progress':
      return `${event.message} …`;
    case 'orphan':
      return `ending ${event.name} (pid ${event.pid}), left by a run that was killed`;
    case 'started':
      return `${event.name} is up (pid ${event.pid}, ${event.elapsedMs} ms)`;
    case 'crashed':
      return `${event.name} ended unexpectedly (${event.exit}); see ${event.logFile}`;
    case 'restarting':
      return `starting ${event.name} again in ${event.afterMs} ms`;
    case 'restart_failed':
      return `${event.name} did not start: ${asMiniodbError(event.error).message}`;
    case 'stopped':
      return `${event.name} stopped (${event.exit})`;
  }
}

/** The message, and what the person in front of the terminal can do about it. */
export function explain(error: unknown, options: Pick<DevOptions, 'dataDir'>): string {
  const { code, message, details } = asMiniodbError(error);
  if (!(error instanceof MiniodbError)) return error instanceof Error ? (error.stack ?? message) : message;
  switch (code) {
    case 'port_in_use': {
      const name = details?.protocol === 'REST' ? 'rest' : 'grpc';
      return `${message}. Choose another one with --${name}-port or MINIODB_${name.toUpperCase()}_PORT (0: any free one).`;
    }
    case 'data_dir_in_use':
      return `${message}. Stop it first, or choose another directory with --data-dir or MINIODB_DATA_DIR.`;
    case 'data_dir_not_writable':
      return `${message}\nChoose another directory with --data-dir or MINIODB_DATA_DIR.`;
    case 'sample_count_differs':
      return `${message}. Stop, remove ${options.dataDir} and start again to load it anew, or use --no-sample.`;
    default:
      return `${message} (${code})`;
  }
}
