import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { MiniodbError } from '../runtime/errors.ts';

/**
 * API tokens: `mdb_<id>_<secret>`, both in hexadecimal. The id finds the record, and may be shown and logged; of the
 * secret's 256 random bits only the SHA-256 is kept. A slow hash would add nothing: nobody guesses 256 bits.
 */
const TOKEN = /^mdb_([0-9a-f]{16})_([0-9a-f]{64})$/;
const ID = /^[0-9a-f]{16}$/;
const ID_BYTES = 8;
const SECRET_BYTES = 32;

export interface ParsedToken {
  readonly id: string;
  readonly secret: string;
}

/** Undefined for anything that was not made by `newToken`: such texts are not worth a look into Redis. */
export function parseToken(text: string): ParsedToken | undefined {
  const match = TOKEN.exec(text);
  return match === null ? undefined : { id: match[1]!, secret: match[2]! };
}

export function isTokenId(text: string): boolean {
  return ID.test(text);
}

const recordSchema = z.object({
  format: z.literal(1),
  user: z.string().min(1),
  /** SHA-256 of the secret as it stands in the token, hexadecimal. */
  hash: z.string().regex(/^[0-9a-f]{64}$/),
  createdMs: z.int(),
  /** Absent: never. */
  expiresMs: z.int().optional(),
  /** What it is for, in its maker's words. */
  name: z.string().optional(),
});

export type TokenRecord = z.infer<typeof recordSchema>;

export interface NewToken {
  readonly id: string;
  /** Shown once, kept nowhere. */
  readonly token: string;
  readonly record: TokenRecord;
}

export function newToken(options: {
  readonly user: string;
  readonly createdMs: number;
  readonly expiresMs?: number | undefined;
  readonly name?: string | undefined;
}): NewToken {
  const { user, createdMs, expiresMs, name } = options;
  const id = randomBytes(ID_BYTES).toString('hex');
  const secret = randomBytes(SECRET_BYTES).toString('hex');
  const record: TokenRecord = {
    format: 1,
    user,
    hash: hashOf(secret),
    createdMs,
    ...(expiresMs === undefined ? {} : { expiresMs }),
    ...(name === undefined ? {} : { name }),
  };
  return { id, token: `mdb_${id}_${secret}`, record };
}

/** Throws `data_corrupted`/`token_unreadable`: a record that nobody can read opens nothing. */
export function parseTokenRecord(id: string, text: string): TokenRecord {
  try {
    return recordSchema.parse(JSON.parse(text));
  } catch {
    // Without the cause, which quotes the record, and goes to a log.
    throw new MiniodbError('data_corrupted', `the record of token ${id} cannot be read`, {
      code: 'token_unreadable',
    });
  }
}

/** In constant time. */
export function provesToken(record: TokenRecord, secret: string): boolean {
  return timingSafeEqual(Buffer.from(record.hash, 'hex'), Buffer.from(hashOf(secret), 'hex'));
}

function hashOf(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}
