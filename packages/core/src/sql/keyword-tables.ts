import { sqlName } from '../duckdb/instance.ts';
import { foldName } from '../table/schema.ts';

/**
 * DuckDB's grammar refuses its reserved words as bare names, but `table`, `default`, `order` … are fine names of
 * tables. Where the parser stumbles over one, it is quoted and the text is parsed again. The parser's own place of
 * the error keeps this out of literals and comments, and its tree proves afterwards that what was quoted is a relation.
 */
export interface QuotedTable {
  /** Where the quoted name starts in the new text, in UTF-16 units. */
  readonly index: number;
  readonly name: string;
}

export interface QuotedText {
  readonly sql: string;
  readonly quoted: readonly QuotedTable[];
}

/**
 * Quotes the word that a syntax error points at; a word that may begin a function's name (`left`, `natural`) is only
 * missed at the next token, so the word before counts too.
 *
 * @param errorIndex in UTF-16 units
 * @returns undefined if neither word is a table
 */
export function quoteTableAt(
  text: QuotedText,
  errorIndex: number,
  defaultTable: string,
  isTable: (name: string) => boolean,
): QuotedText | undefined {
  const here = /^[A-Za-z_][A-Za-z0-9_]*/.exec(text.sql.slice(errorIndex));
  const before = /([A-Za-z_][A-Za-z0-9_]*)\s*$/.exec(text.sql.slice(0, errorIndex));
  const words = [
    here === null ? undefined : { word: here[0], index: errorIndex },
    before === null ? undefined : { word: before[1]!, index: before.index },
  ];
  for (const found of words) {
    if (found === undefined) continue;
    const folded = foldName(found.word);
    const name = folded === 'table' ? defaultTable : isTable(folded) ? found.word : undefined;
    if (name === undefined) continue;
    const quotedName = sqlName(name);
    const grown = quotedName.length - found.word.length;
    return {
      sql: text.sql.slice(0, found.index) + quotedName + text.sql.slice(found.index + found.word.length),
      quoted: [
        ...text.quoted.map((other) =>
          other.index > found.index ? { ...other, index: other.index + grown } : other,
        ),
        { index: found.index, name: foldName(name) },
      ],
    };
  }
  return undefined;
}
