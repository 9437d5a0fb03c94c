import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { z } from 'zod';
import { MiniodbError } from './errors.ts';

/** Settings that every role has, by their environment names. */
const roleFields = {
  REDIS_URL: z.url({ protocol: /^rediss?$/ }).default('redis://127.0.0.1:6379'),
  MINIODB_STORE_URL: z.string().min(1).default('file:///var/lib/miniodb/olap-data'),
  MINIODB_STORE_ACCESS_KEY: z.string().optional(),
  MINIODB_STORE_SECRET_KEY: z.string().optional(),
  /** Address that servers bind. */
  MINIODB_HOST: z.string().min(1).default('127.0.0.1'),
  /** Host that peers reach this process at; needed when it binds all interfaces. */
  MINIODB_ADVERTISED_HOST: z.string().min(1).optional(),
  MINIODB_ADMIN_PORT: portField(0),
  MINIODB_LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
  /** Unique among live processes: two that share one would both believe that they own the same shards. */
  MINIODB_NODE_ID: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,128}$/)
    .optional(),
} as const;

export function portField(fallback: number) {
  return z.coerce.number().int().min(0).max(65_535).default(fallback);
}

export function textField(fallback: string) {
  return z.string().default(fallback);
}

export function requiredTextField() {
  return z.string().min(1);
}

export function choiceField<Choice extends string>(
  choices: readonly [Choice, ...Choice[]],
  fallback: Choice,
) {
  // zod keeps the literal union of the choices; its default only wants one of them.
  return z.enum(choices).default(fallback as never);
}

/** A whole number of the environment with its bounds. */
export function numberField(fallback: number, min: number, max: number) {
  return z.coerce.number().int().min(min).max(max).default(fallback);
}

export interface RoleConfig {
  readonly redisUrl: string;
  readonly storeUrl: string;
  readonly storeAccessKey: string | undefined;
  readonly storeSecretKey: string | undefined;
  readonly host: string;
  readonly advertisedHost: string;
  readonly adminPort: number;
  readonly logLevel: string;
  readonly nodeId: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads a role's settings. An empty variable counts as not set. Throws one `invalid_argument`/`invalid_config` that
 * names every bad variable.
 */
export function readConfig<Fields extends z.ZodRawShape>(
  role: string,
  env: Environment,
  fields: Fields,
): RoleConfig & { readonly own: z.infer<z.ZodObject<Fields>> } {
  const set = Object.fromEntries(
    Object.entries(env).filter(([, value]) => value !== undefined && value !== ''),
  );
  const common = z.object(roleFields).safeParse(set);
  const own = z.object(fields).safeParse(set);
  const issues = [...(common.error?.issues ?? []), ...(own.error?.issues ?? [])];
  if (!common.success || !own.success) {
    const list = issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; ');
    throw new MiniodbError('invalid_argument', `configuration: ${list}`, { code: 'invalid_config' });
  }
  const values = common.data;
  return {
    redisUrl: values.REDIS_URL,
    storeUrl: values.MINIODB_STORE_URL,
    storeAccessKey: values.MINIODB_STORE_ACCESS_KEY,
    storeSecretKey: values.MINIODB_STORE_SECRET_KEY,
    host: values.MINIODB_HOST,
    advertisedHost: values.MINIODB_ADVERTISED_HOST ?? values.MINIODB_HOST,
    adminPort: values.MINIODB_ADMIN_PORT,
    logLevel: values.MINIODB_LOG_LEVEL,
    nodeId: values.MINIODB_NODE_ID ?? `${role}-${hostname()}-${randomBytes(3).toString('hex')}`,
    own: own.data,
  };
}
