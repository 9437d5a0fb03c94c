import { spawn } from 'node:child_process';

/** Enough to see why an installer failed; a runaway one cannot fill the memory. */
const OUTPUT_CHARS_MAX = 200_000;

export interface CommandResult {
  /** Undefined when it could not be started, was killed, or ran out of time. */
  readonly exitCode: number | undefined;
  /** Stdout alone; at most the last 200,000 characters. */
  readonly stdout: string;
  /** Stdout and stderr as they came, or why it could not be started. */
  readonly output: string;
}

export interface CommandOptions {
  readonly timeoutMs: number;
  readonly cwd?: string;
  /** On top of this process' own. */
  readonly env?: NodeJS.ProcessEnv;
}

/** Runs a helper program to its end with nothing on its stdin. Never throws: what happened is in the result. */
export function runCommand(
  command: string,
  args: readonly string[],
  options: CommandOptions,
): Promise<CommandResult> {
  return new Promise((resolve) => {
    let stdout = '';
    let output = '';
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: options.timeoutMs,
      killSignal: 'SIGKILL',
    });
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout = (stdout + text).slice(-OUTPUT_CHARS_MAX);
      output = (output + text).slice(-OUTPUT_CHARS_MAX);
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-OUTPUT_CHARS_MAX);
    });
    child.on('error', (error) => resolve({ exitCode: undefined, stdout, output: error.message }));
    child.on('close', (exitCode) => resolve({ exitCode: exitCode ?? undefined, stdout, output }));
  });
}
