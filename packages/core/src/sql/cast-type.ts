import { SQL_CODES, sqlError } from './codes.ts';
import { type SqlNode, TYPE_INFOS } from './grammar.ts';
import { arrayOf, nodeOf, positionOf, textOf } from './node.ts';

/**
 * Refuses types of other schemas and kinds of types that are not known. DuckDB's own limit on the nesting of
 * expressions holds for types, so this recursion is at most 1,000 deep.
 *
 * @param type {id, type_info}; @param cast the node whose place is reported
 */
export function checkType(type: SqlNode, cast: SqlNode, sql: string): void {
  const info = type.type_info;
  if (info === null || info === undefined) return;
  const details = nodeOf(info);
  const kind = textOf(details, 'type');
  if (!TYPE_INFOS.has(kind)) {
    throw sqlError(SQL_CODES.unsupported, `a type of kind ${kind} is not supported`, positionOf(cast, sql));
  }
  if (kind === 'UNBOUND_TYPE_INFO' && (details.catalog !== '' || details.schema !== '')) {
    throw sqlError(
      SQL_CODES.catalogRefused,
      'types of other schemas are not available',
      positionOf(cast, sql),
    );
  }
  if (details.child_type !== undefined) checkType(nodeOf(details.child_type), cast, sql);
  for (const child of arrayOf(details.child_types ?? [])) {
    checkType(nodeOf(nodeOf(child).second), cast, sql);
  }
}
