import { indexOfByte, positionAt, SQL_CODES, sqlError, type TextPosition } from './codes.ts';
import type { SqlNode } from './grammar.ts';

/** Line and column of a node; most carry their offset, some (built by the parser itself) do not. */
export function positionOf(node: SqlNode | undefined, sql: string): TextPosition | undefined {
  const offset = node?.query_location;
  if (typeof offset !== 'number' || offset > Buffer.byteLength(sql)) return undefined;
  return positionAt(sql, indexOfByte(sql, offset));
}

export function nodeOf(value: unknown): SqlNode {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed();
  return value as SqlNode;
}

export function arrayOf(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw malformed();
  return value;
}

export function textOf(node: SqlNode, field: string): string {
  const value = node[field];
  if (typeof value !== 'string') throw malformed();
  return value;
}

function malformed(): Error {
  return sqlError(SQL_CODES.unsupported, 'the parser answered a tree of an unknown form');
}
