import { chmodSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { findOnPath } from './program-path.ts';
import { type CommandOptions, type CommandResult, runCommand } from './run-command.ts';

export interface InstallWay {
  readonly name: string;
  readonly progress: string;
  /** Path of the server. Throws an Error with what the tools said. */
  install(where: { softwareDir: string; env: NodeJS.ProcessEnv }): Promise<string>;
}

/** Slow mirrors are waited for, dead ones are not: each connection has 20 s of its own. */
const DOWNLOAD_MS_MAX = 180_000;
const UNPACK_MS_MAX = 30_000;
const APT_NETWORK = [
  '-o',
  'Acquire::http::Timeout=20',
  '-o',
  'Acquire::https::Timeout=20',
  '-o',
  'Acquire::Retries=1',
];
/** Otherwise `apt-get update` succeeds without having reached anything. */
const APT_STRICT_UPDATE = ['-o', 'APT::Update::Error-Mode=any'];
/** What says whether a package's service may be started: 101 is "no". */
const SERVICE_POLICY = '/usr/sbin/policy-rc.d';

/** The ways that can work on this machine, best first. */
export function installWays(env: NodeJS.ProcessEnv): InstallWay[] {
  const ways: InstallWay[] = [];
  if (findOnPath('apt-get', env) !== undefined && findOnPath('dpkg-deb', env) !== undefined) {
    if (process.getuid?.() === 0) ways.push(aptInstall);
    ways.push(aptUnpack);
  }
  if (findOnPath('brew', env) !== undefined) ways.push(brewInstall);
  return ways;
}

const aptInstall: InstallWay = {
  name: 'apt-get install',
  progress: 'installing redis-server with apt-get',
  async install({ env }) {
    await run('apt-get', [...APT_NETWORK, ...APT_STRICT_UPDATE, 'update'], {
      timeoutMs: DOWNLOAD_MS_MAX,
      env,
    });
    await withoutServices(() =>
      run('apt-get', [...APT_NETWORK, 'install', '-y', '--no-install-recommends', 'redis-server'], {
        timeoutMs: DOWNLOAD_MS_MAX,
        env: { ...env, DEBIAN_FRONTEND: 'noninteractive' },
      }),
    );
    return found('redis-server', env);
  },
};

/** The package would start a server on the default port; a machine that has a policy of its own keeps it. */
async function withoutServices<T>(work: () => Promise<T>): Promise<T> {
  if (existsSync(SERVICE_POLICY)) return work();
  writeFileSync(SERVICE_POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    return await work();
  } finally {
    rmSync(SERVICE_POLICY, { force: true });
  }
}

/**
 * Without root: apt keeps lists of its own in a scratch folder, says which packages a redis-server needs beyond those
 * that are installed, and downloads them; they are unpacked side by side and nothing of them is run but the server.
 */
export const aptUnpack: InstallWay = {
  name: 'apt-get download',
  progress: 'downloading redis-server (its Debian packages, unpacked into the data directory)',
  async install({ softwareDir, env }) {
    const scratch = `${softwareDir}.tmp-${process.pid}`;
    try {
      await unpackPackages(scratch, env);
      rmSync(softwareDir, { recursive: true, force: true });
      renameSync(scratch, softwareDir);
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
    return join(softwareDir, 'redis-server');
  },
};

async function unpackPackages(target: string, env: NodeJS.ProcessEnv): Promise<void> {
  const [lists, cache, debs, root] = ['lists', 'cache', 'debs', 'root'].map((name) => join(target, name));
  for (const folder of [`${lists}/partial`, `${cache}/archives/partial`, debs!, root!]) {
    mkdirSync(folder, { recursive: true });
  }
  const apt = [...APT_NETWORK, '-o', `Dir::State::lists=${lists}`, '-o', `Dir::Cache=${cache}`];
  await run('apt-get', [...apt, ...APT_STRICT_UPDATE, 'update'], { timeoutMs: DOWNLOAD_MS_MAX, env });
  // redis-server is only a link to a program that redis-tools holds: both, even if dpkg has them installed.
  const plan = await run(
    'apt-get',
    [...apt, 'install', '-s', '-y', '--no-install-recommends', '--reinstall', 'redis-server', 'redis-tools'],
    { timeoutMs: UNPACK_MS_MAX, env: { ...env, LC_ALL: 'C' } },
  );
  const packages = [...plan.stdout.matchAll(/^Inst (\S+)/gm)].map((match) => match[1]!);
  await run('apt-get', [...apt, 'download', ...packages], { timeoutMs: DOWNLOAD_MS_MAX, cwd: debs!, env });
  for (const deb of readdirSync(debs!)) {
    await run('dpkg-deb', ['-x', join(debs!, deb), root!], { timeoutMs: UNPACK_MS_MAX, env });
  }
  for (const folder of [lists!, cache!, debs!]) rmSync(folder, { recursive: true });
  writeLauncher(target);
}

/** The libraries are found through the launcher, so that a server is a path, wherever it comes from. */
function writeLauncher(target: string): void {
  const root = join(target, 'root');
  const folders = readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.so(\.\d+)*$/.test(file))
    .map((file) => `$here/root/${dirname(file)}`);
  const script = [
    '#!/bin/sh',
    'here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)',
    `export LD_LIBRARY_PATH="${[...new Set(folders)].join(':')}"`,
    'exec "$here/root/usr/bin/redis-server" "$@"',
    '',
  ].join('\n');
  const launcher = join(target, 'redis-server');
  writeFileSync(launcher, script);
  chmodSync(launcher, 0o755);
}

const brewInstall: InstallWay = {
  name: 'brew install',
  progress: 'installing redis with Homebrew',
  async install({ env }) {
    await run('brew', ['install', '--quiet', 'redis'], { timeoutMs: DOWNLOAD_MS_MAX, env });
    return found('redis-server', env);
  },
};

function found(program: string, env: NodeJS.ProcessEnv): string {
  const path = findOnPath(program, env);
  if (path === undefined) throw new Error(`${program} is still not there after a successful installation`);
  return path;
}

async function run(
  command: string,
  args: readonly string[],
  options: CommandOptions,
): Promise<CommandResult> {
  const result = await runCommand(command, args, options);
  if (result.exitCode === 0) return result;
  const lines = result.output.trim().split('\n');
  const errors = lines.filter((line) => /^(E|Err|Error)[: ]/.test(line));
  const reason = (errors.length > 0 ? errors : lines).slice(-4).join('; ');
  const how = result.exitCode === undefined ? `did not end within ${options.timeoutMs / 1_000} s` : 'failed';
  throw new Error(`${command} ${how}: ${reason || 'it said nothing'}`);
}
