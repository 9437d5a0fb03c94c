import { readFileSync } from 'node:fs';
import { durationMs } from '@miniodb/core/config/duration.ts';
import { asMiniodbError } from '@miniodb/core/runtime/errors.ts';
import { type Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { RestClient } from './client.ts';
import { EXIT, exitCodeOf } from './exit-codes.ts';
import { Output } from './output.ts';

const TIMEOUT_MS_MAX = 3_600_000;
const TIMEOUT_DEFAULT = '30s';
const REST_PORT_DEFAULT = '8081';
/** API tokens and JWTs that a gateway takes are shorter. */
const TOKEN_CHARS_MAX = 8_192;
const HARD_RULE = /^[A-Za-z0-9_]{1,64}$/;

/** Of every command that asks a gateway. */
export interface ClientOptions {
  readonly url?: string;
  readonly token?: string;
  readonly tokenFile?: string;
  /** Milliseconds. */
  readonly timeout: number;
  readonly json?: true;
}

export interface Session {
  readonly client: RestClient;
  readonly out: Output;
}

export function addClientOptions(command: Command, timeout = TIMEOUT_DEFAULT): Command {
  return command
    .addOption(
      new Option(
        '--url <url>',
        'of a gateway (default: http://127.0.0.1, port MINIODB_REST_PORT or 8081)',
      ).env('MINIODB_URL'),
    )
    .addOption(
      new Option(
        '--token <token>',
        'API token or JWT; others here see command lines: prefer the variable',
      ).env('MINIODB_TOKEN'),
    )
    .option('--token-file <file>', 'file that holds the token')
    .addOption(
      new Option('--timeout <time>', 'how long to wait for an answer')
        .argParser(parseTimeout)
        .default(parseTimeout(timeout), timeout),
    )
    .option('--json', "for programs: the API's JSON; errors as JSON on stderr");
}

/** Does the work of one command. What goes wrong is said on stderr, and in the exit code. @returns it unless it is 0 */
export async function withClient(
  command: Command,
  options: ClientOptions,
  work: (session: Session) => Promise<number | undefined>,
): Promise<void> {
  const client = new RestClient({
    url: urlOf(command, options, process.env.MINIODB_REST_PORT),
    token: tokenOf(command, options),
    timeoutMs: options.timeout,
  });
  const out = new Output(process.stdout, process.stderr);
  try {
    process.exitCode = (await work({ client, out })) ?? EXIT.ok;
  } catch (thrown) {
    if (thrown instanceof CommanderError) throw thrown;
    // Whoever reads our output has read enough, as `head` does.
    if (out.isClosed) return;
    const error = asMiniodbError(thrown);
    await out.error(error, options.json === true);
    process.exitCode = exitCodeOf(error);
  }
}

/** A name that no table can have would be another path of the API. */
export function parseTableName(text: string): string {
  if (HARD_RULE.test(text)) return text;
  throw new InvalidArgumentError('A table name has 1 to 64 letters, digits and underscores.');
}

export function parseTimeout(text: string): number {
  const ms = durationMs(text) ?? 0;
  if (ms > 0 && ms <= TIMEOUT_MS_MAX) return ms;
  throw new InvalidArgumentError('It is a time such as 30s, 500ms or 5m, up to 1h.');
}

/** For collecting an option that may be given several times. */
export function append(text: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), text];
}

/** Ends the command as commander ends those that it finds wrong. */
export function wrongUsage(command: Command, message: string): never {
  command.error(`error: ${message}`, { exitCode: EXIT.usage, code: 'miniodb.usage' });
}

function urlOf(command: Command, options: ClientOptions, restPort: string | undefined): string {
  const text = options.url || `http://127.0.0.1:${restPort || REST_PORT_DEFAULT}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:') {
    return wrongUsage(command, '--url (MINIODB_URL) must be an address such as http://127.0.0.1:8081');
  }
  // What it holds is not repeated: it may be a password.
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    return wrongUsage(command, '--url (MINIODB_URL) must have no user, password or parameters: see --token');
  }
  return url.href.replace(/\/+$/, '');
}

/** On the command line one of two; both go before the environment. */
function tokenOf(command: Command, options: ClientOptions): string | undefined {
  const isTyped = command.getOptionValueSource('token') === 'cli';
  if (options.tokenFile === undefined) return checkedToken(command, options.token);
  if (isTyped) return wrongUsage(command, '--token and --token-file are two ways to say one thing: use one');
  let text: string;
  try {
    text = readFileSync(options.tokenFile, 'utf8');
  } catch (error) {
    return wrongUsage(command, `cannot read the token file: ${(error as Error).message}`);
  }
  return checkedToken(command, text.trim());
}

function checkedToken(command: Command, token: string | undefined): string | undefined {
  if (token === undefined || token === '') return undefined;
  // fetch would refuse it too, and repeat it.
  if (/^[\x21-\x7e]+$/.test(token) && token.length <= TOKEN_CHARS_MAX) return token;
  return wrongUsage(command, 'the token is none: it is one word of ASCII characters');
}
