import { MiniodbError } from '../runtime/errors.ts';

/** Readers for verbs' answers: a reply of another shape than the verb promises is corruption, not a cast. */

function unexpected(verb: string, reply: unknown): MiniodbError {
  return new MiniodbError(
    'data_corrupted',
    `${verb}: unexpected answer ${JSON.stringify(reply)?.slice(0, 200)}`,
    {
      code: 'unexpected_reply',
    },
  );
}

export function asArray(verb: string, reply: unknown): readonly unknown[] {
  if (!Array.isArray(reply)) throw unexpected(verb, reply);
  return reply;
}

export function asText(verb: string, reply: unknown): string {
  if (typeof reply === 'string') return reply;
  if (typeof reply === 'number') return String(reply);
  throw unexpected(verb, reply);
}

export function asNumber(verb: string, reply: unknown): number {
  const number = Number(asText(verb, reply));
  if (!Number.isSafeInteger(number)) throw unexpected(verb, reply);
  return number;
}

/** A flat field, value, … list. */
export function asPairs(verb: string, reply: unknown): [string, string][] {
  const flat = asArray(verb, reply);
  const pairs: [string, string][] = [];
  for (let at = 0; at + 1 < flat.length; at += 2)
    pairs.push([asText(verb, flat[at]), asText(verb, flat[at + 1])]);
  return pairs;
}

/** The first element, which says what happened. */
export function statusOf(verb: string, reply: unknown): string {
  return asText(verb, asArray(verb, reply)[0]);
}

export function unknownStatus(verb: string, reply: unknown): MiniodbError {
  return unexpected(verb, reply);
}
