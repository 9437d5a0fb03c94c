import { z } from 'zod';
import { type Checked, check } from './check.ts';

export const ROLES = ['gateway', 'flusher', 'querier'] as const;
export type RoleName = (typeof ROLES)[number];

/** Everything there is to say of one setting: its three spellings, who has it, and what it may be. */
export interface Setting<Schema extends z.ZodType = z.ZodType, Fallback = unknown> {
  readonly schema: Schema;
  /** Undefined: there is none, and `isRequired` says whether a role can do without. */
  readonly fallback: Fallback;
  readonly isRequired: boolean;
  readonly roles: readonly RoleName[];
  /** Keys of the file, the first found wins; `<role>` stands for the section of the role that reads. */
  readonly paths: readonly string[];
  /** How much of it may be shown: nothing, or a URL without its password. */
  readonly secret?: 'whole' | 'url';
  /** For `--help`. */
  readonly about: string;
}

type About = Pick<Setting, 'roles' | 'paths' | 'secret' | 'about'>;

export function setting<Schema extends z.ZodType>(
  schema: Schema,
  fallback: z.infer<Schema>,
  about: About,
): Setting<Schema, z.infer<Schema>> {
  return { schema, fallback, isRequired: false, ...about };
}

export function requiredSetting<Schema extends z.ZodType>(
  schema: Schema,
  about: About,
): Setting<Schema, z.infer<Schema>> {
  return { schema, fallback: undefined as never, isRequired: true, ...about };
}

export function optionalSetting<Schema extends z.ZodType>(
  schema: Schema,
  about: About,
): Setting<Schema, undefined> {
  return { schema, fallback: undefined, isRequired: false, ...about };
}

/** MINIODB_GRPC_PORT is `--grpc-port`, REDIS_URL is `--redis-url`. */
export function flagOf(variable: string): string {
  return `--${variable
    .replace(/^MINIODB_/, '')
    .toLowerCase()
    .replaceAll('_', '-')}`;
}

export function pathsOf({ paths }: Setting, role: RoleName): string[] {
  return paths.map((path) => path.replace('<role>', role));
}

/** A value as the environment and flags give it: text, whose meaning depends on the setting. */
export function checkText({ schema, secret }: Setting, text: string): Checked<unknown> {
  let value: unknown = text;
  if (schema instanceof z.ZodNumber && /^-?\d{1,20}$/.test(text)) value = Number(text);
  if (schema instanceof z.ZodBoolean && (text === 'true' || text === 'false')) value = text === 'true';
  return check(schema, value, secret !== undefined);
}

/** As it may be printed. */
export function masked({ secret }: Setting, value: unknown): unknown {
  if (value === undefined || secret === undefined) return value;
  if (secret === 'whole') return '***';
  const url = URL.parse(String(value));
  if (url === null) return '***';
  if (url.password !== '') url.password = '***';
  const endpoint = URL.parse(url.searchParams.get('endpoint') ?? '');
  if (endpoint !== null && endpoint.password !== '') url.searchParams.set('endpoint', '***');
  return url.href;
}
