import { MiniodbError } from '../runtime/errors.ts';
import { type Column, isColumnType, type TableSchema } from './schema.ts';

/** The stored form of a column in the schema hash: `<type>:<name>` under the folded name. */
export function parseSchema(pairs: Iterable<readonly [folded: string, column: string]>): TableSchema {
  const schema = new Map<string, Column>();
  for (const [folded, column] of pairs) {
    const colon = column.indexOf(':');
    const type = column.slice(0, colon);
    if (!isColumnType(type)) {
      throw new MiniodbError('data_corrupted', `unknown column type ${type} of column ${folded}`, {
        code: 'schema_corrupted',
      });
    }
    schema.set(folded, { name: column.slice(colon + 1), type });
  }
  return schema;
}
