import { MiniodbError } from '../runtime/errors.ts';

/** Every code the SQL gate answers with; all are `invalid_argument`. Clients may switch on them. */
export const SQL_CODES = {
  /** Nothing to run: empty, blank, only comments. */
  empty: 'sql_empty',
  syntax: 'sql_syntax',
  notSelect: 'sql_not_select',
  multipleStatements: 'sql_multiple_statements',
  tooLong: 'sql_too_long',
  tooDeep: 'sql_too_deep',
  tooComplex: 'sql_too_complex',
  /** NUL, a leading byte order mark, lone surrogates. */
  badText: 'sql_bad_text',
  functionRefused: 'sql_function_refused',
  functionUnknown: 'sql_unknown_function',
  tableFunctionRefused: 'sql_table_function_refused',
  /** A relation in another catalog or schema. */
  catalogRefused: 'sql_catalog_refused',
  /** A relation whose name is a path or an address. */
  pathRefused: 'sql_path_refused',
  /** Understood by the parser, not by us. */
  unsupported: 'sql_unsupported',
} as const;

export type SqlCode = (typeof SQL_CODES)[keyof typeof SQL_CODES];

/** @param position 1-based line and column, when it is known where */
export function sqlError(code: SqlCode, message: string, position?: TextPosition): MiniodbError {
  const where = position === undefined ? '' : ` (line ${position.line}, column ${position.column})`;
  return new MiniodbError('invalid_argument', `${message}${where}`, {
    code,
    ...(position === undefined ? {} : { details: { line: position.line, column: position.column } }),
  });
}

export interface TextPosition {
  readonly line: number;
  readonly column: number;
}

/** @param index in UTF-16 units; columns are counted in code points */
export function positionAt(text: string, index: number): TextPosition {
  const before = text.slice(0, index);
  const lineStart = before.lastIndexOf('\n') + 1;
  return {
    line: before.split('\n').length,
    column: Array.from(before.slice(lineStart)).length + 1,
  };
}

/** DuckDB gives a node's place in UTF-8 bytes. */
export function indexOfByte(text: string, byteOffset: number): number {
  return Buffer.from(text).subarray(0, byteOffset).toString().length;
}

/** DuckDB gives a syntax error's place in code points. */
export function indexOfCodePoint(text: string, codePoint: number): number {
  let index = 0;
  for (let seen = 0; seen < codePoint && index < text.length; seen++) {
    index += text.codePointAt(index)! > 0xffff ? 2 : 1;
  }
  return index;
}
