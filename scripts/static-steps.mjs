import { spawn } from 'node:child_process';

/**
 * What holds without running a test, cheapest first. Each is one program of node_modules; `npm test` puts those on the
 * path.
 */
export const staticSteps = [
  step('biome', 'biome', ['check', '--error-on-warnings']),
  step('tsc', 'tsc', ['-p', 'tsconfig.json']),
  step('oxlint', 'oxlint', ['--type-aware', '--deny-warnings']),
  step('layering', 'depcruise', [
    '--config',
    '.dependency-cruiser.cjs',
    'apps',
    'packages',
    'tests',
    'bench',
    'scripts',
  ]),
  step('knip', 'knip', ['--no-config-hints']),
  step('proto', 'node', ['scripts/generate-proto.mjs', '--check']),
];

function step(name, command, args) {
  return { name, run: () => runProgram(command, args) };
}

/** Runs every step, also after one that failed; a line each with its duration. @returns how many failed */
export async function runSteps(steps) {
  let failed = 0;
  for (const { name, run } of steps) {
    const beginMs = performance.now();
    const { ok, output = '', summary = '' } = await run();
    const seconds = ((performance.now() - beginMs) / 1_000).toFixed(1);
    if (!ok) failed += 1;
    process.stdout.write(
      `${ok ? 'passed' : 'FAILED'}   ${name}${summary && `   ${summary}`}   ${seconds} s\n`,
    );
    if (!ok) process.stdout.write(output);
  }
  return failed;
}

/** @returns whether it ended with 0, and what it said */
export function runProgram(command, args) {
  return new Promise((resolve) => {
    let output = '';
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.on('data', (text) => (output += text));
    child.stderr.on('data', (text) => (output += text));
    child.on('error', (error) => resolve({ ok: false, output: `${error.message}\n` }));
    child.on('close', (code) => resolve({ ok: code === 0, output }));
  });
}
