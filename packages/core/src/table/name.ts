import { MiniodbError } from '../runtime/errors.ts';

const HARD_RULE = /^[A-Za-z0-9_]{1,64}$/;
/** Names that mean something else in SQL, in the configuration or in the object store. */
const RESERVED: ReadonlySet<string> = new Set(['table', 'default_config', 'main', 'temp', 'system']);

/** Tables that differ only in case are one: the key form of a name is lower case. */
export function canonicalTableName(name: string): string {
  return name.toLowerCase();
}

/** @param pattern the configured rule within the hard one. Throws `invalid_argument`/`invalid_table_name`. */
export function checkTableName(name: string, pattern: RegExp): void {
  if (!HARD_RULE.test(name) || !pattern.test(name) || RESERVED.has(canonicalTableName(name))) {
    // Clients match this text, so it names the table and nothing else.
    throw new MiniodbError('invalid_argument', `invalid table name: ${name}`, { code: 'invalid_table_name' });
  }
}
