import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { after, test } from 'node:test';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { Command } from 'commander';
import { addDevCommand, type DevOptions, describeEvent, explain } from './dev.ts';
import { EXIT, exitCodeOf } from './exit-codes.ts';
import { Terminal } from './terminal.ts';

const scratch = mkdtempSync(join(tmpdir(), 'miniodb-dev-'));
after(() => rmSync(scratch, { recursive: true }));

async function parse(...args: string[]): Promise<DevOptions> {
  let parsed: DevOptions | undefined;
  const program = new Command().exitOverride();
  addDevCommand(program, async (options) => {
    parsed = options;
  });
  await program.parseAsync(['dev', ...args], { from: 'user' });
  return parsed!;
}

function miniodb(args: string[], env: Record<string, string> = {}) {
  const main = join(import.meta.dirname, 'main.ts');
  return spawnSync(process.execPath, [main, ...args], {
    encoding: 'utf8',
    timeout: 30_000,
    env: { ...process.env, ...env },
  });
}

test('dev takes its settings from flags, then from the environment, then from its defaults', async (t) => {
  const names = [
    'MINIODB_DATA_DIR',
    'MINIODB_GRPC_PORT',
    'MINIODB_REST_PORT',
    'REDIS_URL',
    'MINIODB_STORE_URL',
  ];
  const before = names.map((name) => [name, process.env[name]] as const);
  t.after(() => {
    for (const [name, value] of before) if (value !== undefined) process.env[name] = value;
  });
  for (const name of names) delete process.env[name];
  const defaults: DevOptions = {
    sample: true,
    once: false,
    dataDir: '.data',
    grpcPort: 8080,
    restPort: 8081,
    redisUrl: '',
    storeUrl: '',
  };
  assert.deepEqual(await parse(), defaults);
  t.after(() => {
    delete process.env.MINIODB_GRPC_PORT;
    delete process.env.MINIODB_DATA_DIR;
  });
  process.env.MINIODB_GRPC_PORT = '9000';
  process.env.MINIODB_DATA_DIR = '/somewhere';
  assert.deepEqual(await parse('--no-sample', '--once', '--data-dir', 'here', '--rest-port', '0'), {
    ...defaults,
    sample: false,
    once: true,
    dataDir: 'here',
    grpcPort: 9000,
    restPort: 0,
  });
});

test('a wrong command line ends with exit code 2 and says what is wrong', () => {
  for (const [args, said] of [
    [['dev', '--grpc-port', '70000'], /A port is a number from 0 to 65535/],
    [['dev', '--what'], /unknown option '--what'/],
    [['what'], /unknown command 'what'/],
  ] as const) {
    const { status, stderr } = miniodb([...args]);
    assert.equal(status, EXIT.usage);
    assert.match(stderr, said);
  }
  const help = miniodb(['dev', '--help']);
  assert.equal(help.status, EXIT.ok);
  assert.match(help.stdout, /--data-dir <path>/);
});

test('a data directory that cannot be used ends with exit code 5 and a way out', () => {
  const file = join(scratch, 'file');
  writeFileSync(file, '');
  const { status, stderr } = miniodb(['dev', '--data-dir', join(file, 'x')]);
  assert.equal(status, EXIT.environment);
  assert.match(
    stderr,
    /^error: cannot write to the data directory .*\nChoose another directory with --data-dir/,
  );
});

test('a port in use is explained with the flag that changes it', () => {
  const error = new MiniodbError('failed_precondition', 'the REST port 8081 is in use', {
    code: 'port_in_use',
    details: { port: 8081, protocol: 'REST' },
  });
  assert.match(
    explain(error, { dataDir: '.data' }),
    /REST port 8081 is in use.*--rest-port or MINIODB_REST_PORT/,
  );
  assert.equal(exitCodeOf(error), EXIT.environment);
  assert.equal(exitCodeOf(new Error('something else')), EXIT.failed);
});

test('a crash is told with where to look', () => {
  const event = {
    kind: 'crashed',
    name: 'flusher-2',
    exit: 'SIGKILL',
    logFile: 'logs/flusher-2.log',
  } as const;
  assert.equal(describeEvent(event), 'flusher-2 ended unexpectedly (SIGKILL); see logs/flusher-2.log');
});

test('tables show objects as JSON, nothing for null, and no control bytes of stored text', () => {
  const out = new PassThrough().setEncoding('utf8');
  const terminal = new Terminal(out);
  terminal.progress('only on a terminal');
  terminal.table(
    ['name', 'n', 'nested'],
    [{ name: 'a\u001b[2Jb', n: 1, nested: { x: [1] } }, { name: null }],
  );
  const text = out.read() as string;
  assert.match(text, /a\ufffd\[2Jb.*│ +1 │ {"x":\[1\]}/);
  assert.ok(!text.includes('\u001b'));
  assert.doesNotMatch(text, /null|undefined|terminal/);
});
