import { type DuckDb, openDuckDb } from '../duckdb/instance.ts';
import { indexOfCodePoint, positionAt, SQL_CODES, sqlError } from './codes.ts';
import { type FunctionCatalog, loadFunctionCatalog } from './functions.ts';
import type { SqlNode } from './grammar.ts';
import { type QuotedText, quoteTableAt } from './keyword-tables.ts';
import { positionOf } from './node.ts';
import { excludePayload } from './payload-star.ts';
import { type QueryFacts, walkQuery } from './walk.ts';

/** Longest SQL text in UTF-8 bytes. */
export const SQL_BYTES_MAX = 256 * 1024;
/** Longest serialised tree in characters; a node is about 170, an `IN` list of 20,000 ids 3 MB, and 8 MB take 90 ms to parse. */
const TREE_CHARS_MAX = 8 * 1024 * 1024;
/** Most words of one query that are quoted for being a table. */
const QUOTED_TABLES_MAX = 32;
/** Most parameters of one query. */
export const PARAMETERS_MAX = 1000;

export interface GateOptions {
  /** What `FROM table` means, lower case. */
  readonly defaultTable: string;
  /** Whether a table of this lower-cased name exists; asked only where the text does not parse. */
  isTable(name: string): boolean;
}

export interface GatedTable {
  /** Lower case. The gate does not know whether it exists. */
  readonly name: string;
  /** Whether its view must have the computed column `payload`. True for all tables of a query or for none. */
  readonly namesPayload: boolean;
}

export interface GatedQuery {
  /** The text to execute: the original, or one that means the same with names quoted and `payload` kept out of `*`. */
  readonly sql: string;
  /** Every base table of the query, each once. */
  readonly tables: readonly GatedTable[];
  /** Number of values to bind to `$1`, `$2`, … or `?`. */
  readonly parameterCount: number;
  /** DuckDB's syntax tree of the query, for pruning. */
  readonly tree: SqlNode;
}

/** The only way for a client's SQL towards an executor. */
export interface Gate {
  /**
   * Refuses everything that is not exactly one understood SELECT: MiniodbError `invalid_argument` with a code of
   * SQL_CODES, and line and column in its message and details where they are known.
   */
  check(sql: string, options: GateOptions): Promise<GatedQuery>;
  close(): void;
}

export async function openGate(): Promise<Gate> {
  // Parsing needs neither data nor files nor threads.
  const db = await openDuckDb({ threads: '1', memory_limit: '256MB' });
  try {
    const functions = await loadFunctionCatalog(db.connection);
    await db.connection.run(LOCKDOWN);
    return new ParserGate(db, functions);
  } catch (error) {
    db.close();
    throw error;
  }
}

const LOCKDOWN = `
  SET autoinstall_known_extensions = false; SET autoload_known_extensions = false;
  SET allow_community_extensions = false; SET enable_external_access = false; SET lock_configuration = true`;

interface ParseFailure {
  readonly error: true;
  readonly error_type: string;
  readonly error_message: string;
  /** Code points before the error, decimal text. */
  readonly position?: string;
}

interface ParseSuccess {
  readonly error: false;
  readonly statements: readonly {
    readonly node: SqlNode;
    readonly named_param_map: readonly { readonly key: string }[];
  }[];
}

class ParserGate implements Gate {
  readonly #db: DuckDb;
  readonly #functions: FunctionCatalog;
  /** One text at a time: a connection has one lock, and waiting for it would hold threads of Node's small pool. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(db: DuckDb, functions: FunctionCatalog) {
    this.#db = db;
    this.#functions = functions;
  }

  async check(original: string, options: GateOptions): Promise<GatedQuery> {
    refuseBadText(original);
    const { text, parsed, firstFailure } = await this.#parseWithTables(original, options);
    const statement = parsed.statements[0];
    if (statement === undefined) throw sqlError(SQL_CODES.empty, 'there is no SQL to run');
    if (parsed.statements.length > 1) {
      throw sqlError(SQL_CODES.multipleStatements, 'only one statement can be run at a time');
    }
    const parameterCount = countParameters(statement.named_param_map.map((entry) => entry.key));
    const facts = walkQuery(statement.node, text.sql, this.#functions);
    if (firstFailure !== undefined && !quotedOnlyRelations(text, facts)) {
      throw parseError(firstFailure, original);
    }
    const sql = facts.namesPayload ? await this.#withoutPayloadInStars(text.sql, facts) : text.sql;
    const tables = Array.from(facts.tables, (name) => ({ name, namesPayload: facts.namesPayload }));
    return { sql, tables, parameterCount, tree: statement.node };
  }

  close(): void {
    this.#db.close();
  }

  async #parseWithTables(
    original: string,
    options: GateOptions,
  ): Promise<{ text: QuotedText; parsed: ParseSuccess; firstFailure: ParseFailure | undefined }> {
    let text: QuotedText = { sql: original, quoted: [] };
    let firstFailure: ParseFailure | undefined;
    for (;;) {
      const parsed = await this.#parse(text.sql);
      if (!parsed.error) return { text, parsed, firstFailure };
      firstFailure ??= parsed;
      const next =
        parsed.position === undefined || text.quoted.length === QUOTED_TABLES_MAX
          ? undefined
          : quoteTableAt(
              text,
              indexOfCodePoint(text.sql, Number(parsed.position)),
              options.defaultTable,
              options.isTable,
            );
      if (next === undefined) throw parseError(firstFailure, original);
      text = next;
    }
  }

  async #parse(sql: string): Promise<ParseFailure | ParseSuccess> {
    const tree = await this.#text('SELECT json_serialize_sql($1::VARCHAR)', sql);
    if (tree.length > TREE_CHARS_MAX) {
      throw sqlError(SQL_CODES.tooComplex, 'the query has too many parts');
    }
    return JSON.parse(tree);
  }

  /**
   * DuckDB writes the changed tree as text again. That it means the same is not assumed: the new text must parse to
   * the very tree that was written.
   */
  async #withoutPayloadInStars(sql: string, facts: QueryFacts): Promise<string> {
    const implicit = facts.implicitColumns[0];
    if (implicit !== undefined) {
      throw sqlError(
        SQL_CODES.unsupported,
        `${implicit.what} cannot be used in a query that names payload: select the columns in a subquery first`,
        positionOf(implicit.node, sql),
      );
    }
    if (!excludePayload(facts.stars)) return sql;
    const exact = parseExact(await this.#text('SELECT json_serialize_sql($1::VARCHAR)', sql));
    // The same walk over the same text finds the same stars, this time in the tree with exact numbers.
    excludePayload(walkQuery(exact.statements[0]!.node, sql, this.#functions).stars);
    const written = await this.#text('SELECT json_deserialize_sql($1::JSON)', JSON.stringify(exact));
    const read = parseExact(await this.#text('SELECT json_serialize_sql($1::VARCHAR)', written));
    if (comparable(read) !== comparable(exact)) {
      throw sqlError(
        SQL_CODES.unsupported,
        'this query cannot be combined with * and payload: list its columns instead of *',
      );
    }
    return written;
  }

  async #text(query: string, value: string): Promise<string> {
    const answer = this.#last.then(async () => {
      const reader = await this.#db.connection.runAndReadAll(query, [value]);
      return String(reader.value(0, 0));
    });
    this.#last = answer.catch(() => undefined);
    try {
      return await answer;
    } catch (cause) {
      const detail = cause instanceof Error ? cause.message : String(cause);
      throw sqlError(SQL_CODES.unsupported, `the query cannot be analysed: ${detail.slice(0, 200)}`);
    }
  }
}

function refuseBadText(sql: string): void {
  // A UTF-16 unit is at least one byte: the cheap check first.
  if (sql.length > SQL_BYTES_MAX || Buffer.byteLength(sql) > SQL_BYTES_MAX) {
    throw sqlError(SQL_CODES.tooLong, `the SQL is longer than ${SQL_BYTES_MAX} bytes`);
  }
  if (sql.includes('\0')) throw sqlError(SQL_CODES.badText, 'the SQL has a NUL character in it');
  if (sql.startsWith('\uFEFF')) throw sqlError(SQL_CODES.badText, 'the SQL starts with a byte order mark');
  if (!sql.isWellFormed()) throw sqlError(SQL_CODES.badText, 'the SQL has half of a surrogate pair in it');
}

function parseError(failure: ParseFailure, sql: string): Error {
  const message = failure.error_message;
  if (/^(Max expression depth|memory exhausted)/.test(message)) {
    return sqlError(SQL_CODES.tooDeep, 'the query is nested too deeply');
  }
  if (failure.error_type === 'not implemented') {
    return sqlError(SQL_CODES.notSelect, 'only SELECT can be run (PIVOT needs IN with a list of values)');
  }
  if (/A CTE needs a SELECT/.test(message)) {
    return sqlError(SQL_CODES.notSelect, 'only SELECT can be run, in WITH too');
  }
  const position =
    failure.position === undefined
      ? undefined
      : positionAt(sql, indexOfCodePoint(sql, Number(failure.position)));
  return sqlError(SQL_CODES.syntax, message.slice(0, 300), position);
}

/** DuckDB binds by position among those that are used, so a gap would shift what comes after it. */
function countParameters(names: readonly string[]): number {
  if (names.length > PARAMETERS_MAX) {
    throw sqlError(SQL_CODES.tooComplex, `the query has more than ${PARAMETERS_MAX} parameters`);
  }
  for (const name of names) {
    if (!/^[1-9][0-9]{0,3}$/.test(name) || Number(name) > names.length) {
      throw sqlError(SQL_CODES.unsupported, `parameters are ? or $1, $2, … without gaps: not $${name}`);
    }
  }
  return names.length;
}

/** What was quoted must be a relation now; as anything else, quoting would have changed the meaning. */
function quotedOnlyRelations(text: QuotedText, facts: QueryFacts): boolean {
  return text.quoted.every(({ index, name }) => {
    const byteOffset = Buffer.byteLength(text.sql.slice(0, index));
    return facts.relationLocations.get(byteOffset) === name;
  });
}

/** Numbers keep their source text: offsets and literals reach beyond 2^53. */
function parseExact(json: string): ParseSuccess {
  const tree: unknown = JSON.parse(json, (_key, value: unknown, context?: { source?: string }) =>
    typeof value === 'number' && context?.source !== undefined && !Number.isSafeInteger(value)
      ? rawJson(context.source)
      : value,
  );
  return tree as ParseSuccess;
}

/** As JSON.rawJSON (ES2026), which TypeScript's libraries do not know yet. */
const rawJson = (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON;

/** Places differ after writing, and the order in which unordered sets are written. */
function comparable(tree: ParseSuccess): string {
  return JSON.stringify(tree.statements[0]!.node, (key, value: unknown) => {
    if (/^(qualified_exclude|exclude|replace|rename)_list$/.test(key) && Array.isArray(value)) {
      return value.map((entry) => JSON.stringify(entry, withoutPlaces)).sort();
    }
    return withoutPlaces(key, value);
  });
}

function withoutPlaces(key: string, value: unknown): unknown {
  return key === 'query_location' ? undefined : value;
}
