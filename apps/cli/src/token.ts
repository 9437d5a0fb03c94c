import { isTokenId, newToken, parseToken, type TokenRecord } from '@miniodb/core/auth/token.ts';
import { TokenStore } from '@miniodb/core/auth/token-store.ts';
import { durationMs } from '@miniodb/core/config/duration.ts';
import { redisTimeMs } from '@miniodb/core/redis/client.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { addOperatorOptions, type Operator, type OperatorOptions, operate } from './operate.ts';
import { Terminal } from './terminal.ts';

const DAY_MS = 86_400_000;
const LIFE_MS_MAX = 3_650 * DAY_MS;
const LIFE_DEFAULT = '365d';
const NAME_LENGTH_MAX = 200;
/** Of known users in one message. */
const USERS_SHOWN_MAX = 20;

interface CreateOptions extends OperatorOptions {
  readonly user: string;
  readonly name?: string;
  /** Milliseconds, or Infinity for `never`. */
  readonly expires: number;
  readonly quiet: boolean;
  readonly json: boolean;
}

export function addTokenCommand(program: Command): void {
  const token = program
    .command('token')
    .description('API tokens, straight in Redis: whoever has Redis makes the first one');
  addOperatorOptions(token.command('create'))
    .description('make a token of a user and print it, once')
    .requiredOption('--user <user>', 'a user of permissions.users')
    .option('--name <name>', 'what it is for', checkName)
    .addOption(
      new Option('--expires <time>', 'how long it lives, such as 90d, 12h, 30m, or never')
        .argParser(parseLife)
        .default(parseLife(LIFE_DEFAULT), LIFE_DEFAULT),
    )
    .option('--quiet', 'print the token and nothing else', false)
    .option('--json', 'print JSON', false)
    .action((options: CreateOptions) =>
      operate(options, (operator) => createToken(operator, options, new Terminal(process.stdout))),
    );
  addOperatorOptions(token.command('list'))
    .description('list tokens, never their secrets')
    .option('--json', 'print JSON', false)
    .action((options: OperatorOptions & { readonly json: boolean }) =>
      operate(options, (operator) => listTokens(operator, options.json, new Terminal(process.stdout))),
    );
  addOperatorOptions(token.command('revoke <id>'))
    .description('end a token, by its id or the token itself; refused everywhere within 5 seconds')
    .action((id: string, options: OperatorOptions) =>
      operate(options, (operator) => revokeToken(operator, id, new Terminal(process.stdout))),
    );
}

export function parseLife(text: string): number {
  if (text === 'never') return Number.POSITIVE_INFINITY;
  const lifeMs = durationMs(text) ?? 0;
  if (lifeMs > 0 && lifeMs <= LIFE_MS_MAX) return lifeMs;
  throw new InvalidArgumentError('It is a time such as 90d, 12h or 30m, up to 3650d, or never.');
}

function checkName(name: string): string {
  if (name.length <= NAME_LENGTH_MAX) return name;
  throw new InvalidArgumentError(`A name has at most ${NAME_LENGTH_MAX} characters.`);
}

async function createToken(
  { redis, directory }: Operator,
  options: CreateOptions,
  terminal: Terminal,
): Promise<void> {
  const { users } = directory;
  if (!users.includes(options.user)) throw userUnknown(options.user, users);
  const createdMs = await redisTimeMs(redis);
  const expiresMs = Number.isFinite(options.expires) ? createdMs + options.expires : undefined;
  const { user, name } = options;
  const made = newToken({ user, createdMs, expiresMs, name });
  await new TokenStore(redis).add(made);
  if (options.json)
    terminal.line(JSON.stringify({ ...shown(made.id, made.record, 'active'), token: made.token }));
  else if (options.quiet) terminal.line(made.token);
  else {
    const until = expiresMs === undefined ? 'does not expire' : `expires ${dateOf(expiresMs)}`;
    terminal.line(`Token ${made.id} of ${user}; ${until}. It is not shown again:`);
    terminal.line(made.token);
  }
}

function userUnknown(user: string, users: readonly string[]): MiniodbError {
  const more = users.length > USERS_SHOWN_MAX ? `, and ${users.length - USERS_SHOWN_MAX} more` : '';
  const known =
    users.length === 0
      ? 'it knows none: name them in permissions.users of the configuration file (--config)'
      : `it knows ${users.slice(0, USERS_SHOWN_MAX).join(', ')}${more}`;
  return new MiniodbError('not_found', `the configuration has no user ${user}; ${known}`, {
    code: 'user_unknown',
  });
}

type TokenState = 'active' | 'expired' | 'user_unknown' | 'unreadable';

async function listTokens({ redis, directory }: Operator, json: boolean, terminal: Terminal): Promise<void> {
  const nowMs = await redisTimeMs(redis);
  const known = new Set(directory.users);
  const tokens = Array.from(await new TokenStore(redis).list(), ([id, record]) =>
    shown(id, record, stateOf(record, known, nowMs)),
  );
  if (json) terminal.line(JSON.stringify(tokens));
  else if (tokens.length === 0) terminal.line('There are no tokens.');
  else terminal.table(['id', 'user', 'name', 'created_at', 'expires_at', 'state'], tokens);
}

function stateOf(record: TokenRecord | undefined, users: ReadonlySet<string>, nowMs: number): TokenState {
  if (record === undefined) return 'unreadable';
  if (record.expiresMs !== undefined && nowMs >= record.expiresMs) return 'expired';
  return users.has(record.user) ? 'active' : 'user_unknown';
}

function shown(id: string, record: TokenRecord | undefined, state: TokenState) {
  return {
    id,
    user: record?.user ?? '',
    name: record?.name ?? '',
    created_at: record === undefined ? '' : dateOf(record.createdMs),
    expires_at: record?.expiresMs === undefined ? '' : dateOf(record.expiresMs),
    state,
  };
}

async function revokeToken({ redis }: Operator, text: string, terminal: Terminal): Promise<void> {
  const id = parseToken(text)?.id ?? text;
  // Whatever else was given may be a secret: it is not repeated.
  if (!isTokenId(id)) {
    throw new MiniodbError('invalid_argument', 'a token id has 16 hexadecimal digits: see token list', {
      code: 'invalid_token_id',
    });
  }
  if (!(await new TokenStore(redis).revoke(id))) {
    throw new MiniodbError('not_found', `there is no token ${id}`, { code: 'token_not_found' });
  }
  terminal.line(`Token ${id} is revoked.`);
}

function dateOf(ms: number): string {
  return new Date(ms).toISOString();
}
