/**
 * What `npm start` and `npm test` do before anything else, on any Node from 20 on and with nothing installed: bring
 * the dependencies, then run a program under the Node 24 that is one of them.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
/** Node 24, which runs TypeScript as it is. */
const node = join(root, 'node_modules/node/bin/node');
/** Holds the fingerprint of the lockfile that node_modules was installed from. */
const stamp = join(root, 'node_modules/.installed-from');

const NODE_MAJOR_MIN = 20;
const INSTALL_MS_MAX = 10 * 60_000;
const PARENT_LOOK_MS = 500;
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;
/** What npm and pnpm say when it is the network, and trying again can help. */
const NETWORK_TROUBLE =
  /ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ECONNRESET|ECONNREFUSED|ENETUNREACH|ERR_SOCKET|ERR_PNPM_META_FETCH_FAIL|ERR_PNPM_FETCH/;

/** Ends the process, with the reason, where the scripts cannot run. */
export function requireNode() {
  if (Number(process.versions.node.split('.')[0]) >= NODE_MAJOR_MIN) return;
  fail(
    `Node ${process.versions.node} is too old: version ${NODE_MAJOR_MIN} or newer is needed (https://nodejs.org).`,
  );
}

/** Installs what pnpm-lock.yaml says; does nothing when node_modules is from this very lockfile. */
export function ensureInstalled() {
  const fingerprint = lockFingerprint();
  const installed = existsSync(stamp) && existsSync(node) ? readFileSync(stamp, 'utf8') : undefined;
  if (installed === fingerprint) return;
  process.stderr.write('installing dependencies …\n');
  const first = install();
  if (first.status !== 0) {
    const network = NETWORK_TROUBLE.test(first.output);
    const last = network ? install() : first;
    if (last.status !== 0) {
      process.stderr.write(last.output);
      fail(
        network
          ? 'The dependencies could not be downloaded, at the second attempt neither. They come from the npm registry ' +
              'that your npm is set to (npm config get registry): check the network, the proxy settings and that address.'
          : 'The dependencies could not be installed; what the installer said stands above.',
      );
    }
  }
  writeFileSync(stamp, fingerprint);
}

/** Of everything that decides what an installation looks like. */
function lockFingerprint() {
  const hash = createHash('sha256').update(`${process.platform}-${process.arch}\n`);
  for (const file of ['pnpm-workspace.yaml', 'pnpm-lock.yaml']) {
    hash.update(readFileSync(join(root, file)));
  }
  return hash.digest('hex');
}

function install() {
  const { packageManager } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const home = writableHome();
  try {
    const { status, error, stdout, stderr } = spawnSync(
      'npx',
      ['-y', packageManager, 'install', '--frozen-lockfile', '--reporter=append-only'],
      {
        cwd: root,
        // CI: it must never wait for an answer, whoever started it.
        env: { ...process.env, ...home.env, CI: '1' },
        stdio: ['ignore', 'pipe', 'pipe'],
        timeout: INSTALL_MS_MAX,
        maxBuffer: OUTPUT_BYTES_MAX,
        encoding: 'utf8',
      },
    );
    return { status, output: `${stdout ?? ''}${stderr ?? ''}${error ? `${error.message}\n` : ''}` };
  } finally {
    home.remove();
  }
}

/** npm and pnpm keep caches at home; where there is none to write to, a folder stands in until the end. */
function writableHome() {
  try {
    accessSync(homedir(), constants.W_OK);
    return { env: {}, remove: () => {} };
  } catch {
    const path = mkdtempSync(join(tmpdir(), 'miniodb-home-'));
    const env = { HOME: path, npm_config_cache: join(path, 'npm'), XDG_DATA_HOME: join(path, 'data') };
    return { env, remove: () => rmSync(path, { recursive: true, force: true }) };
  }
}

/**
 * Runs a program of this workspace under Node 24 in place of this process: same terminal, its exit code is ours, and
 * signals that are sent to us reach it. (For that, package.json starts us by the path of npm's own Node: the `node`
 * of node_modules/.bin is a shell script, which dies of a signal and hands on none.)
 */
export function become(program, args) {
  const child = spawn(node, [join(root, program), ...args], {
    stdio: 'inherit',
    env: {
      ...process.env,
      PATH: `${dirname(node)}:${join(root, 'node_modules/.bin')}:${process.env.PATH ?? ''}`,
    },
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  if (process.env.npm_lifecycle_event !== undefined) stopWithParent(child);
  child.on('error', (error) => fail(`${node} cannot be run: ${error.message}`));
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

/** npm that was killed cannot tell us; started by hand, with nohup say, we may outlive whoever did. */
function stopWithParent(child) {
  const parent = process.ppid;
  setInterval(() => process.ppid !== parent && child.kill('SIGTERM'), PARENT_LOOK_MS).unref();
}

function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}
