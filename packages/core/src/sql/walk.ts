import { foldName } from '../table/schema.ts';
import { checkType } from './cast-type.ts';
import { SQL_CODES, type SqlCode, sqlError } from './codes.ts';
import { type FunctionCatalog, TABLE_FUNCTIONS } from './functions.ts';
import {
  EXPRESSIONS,
  type FieldKind,
  type Fields,
  MODIFIERS,
  OPERATORS,
  QUERY_NODES,
  type SqlNode,
  TABLE_REFS,
} from './grammar.ts';
import { arrayOf, nodeOf, positionOf, textOf } from './node.ts';

/**
 * Deepest nesting of nodes. Binder and optimiser recurse on it, and 1,000 is where DuckDB's parser itself refuses
 * nested expressions; people's queries stay below 50.
 */
const DEPTH_MAX = 500;

/** Most UNION, INTERSECT and EXCEPT of a query: planning is quadratic (1,000: 0.2 s, 5,000: 3 s, uninterruptible). */
const SET_OPERATIONS_MAX = 500;

/** What one SELECT statement refers to. */
export interface QueryFacts {
  /** Lower-cased names of all base tables, in order of first mention. */
  readonly tables: Set<string>;
  /** Where tables and CTEs are read: UTF-8 byte offset in the text -> lower-cased name. */
  readonly relationLocations: Map<number, string>;
  /** An identifier somewhere is `payload`. */
  namesPayload: boolean;
  /** Every star with the base tables it covers: the aliases under which its SELECT sees them. */
  readonly stars: StarUse[];
  /** Constructs that would see `payload` without naming it, and that no EXCLUDE can be written into. */
  readonly implicitColumns: { readonly what: string; readonly node: SqlNode }[];
}

export interface StarUse {
  readonly star: SqlNode;
  readonly tables: readonly string[];
}

/** Common table expressions that are visible at a place. */
interface Scope {
  readonly name: string;
  readonly outer: Scope | undefined;
}

/**
 * Walks a serialised SELECT and refuses, with a MiniodbError of SQL_CODES, whatever is not understood or not allowed.
 *
 * @param root the query node of the one statement; @param sql its text, for positions
 */
export function walkQuery(root: SqlNode, sql: string, functions: FunctionCatalog): QueryFacts {
  const walker = new Walker(sql, functions);
  walker.queryNode(root, undefined, 0);
  return walker.facts;
}

class Walker {
  readonly facts: QueryFacts = {
    tables: new Set(),
    relationLocations: new Map(),
    namesPayload: false,
    stars: [],
    implicitColumns: [],
  };
  readonly #sql: string;
  readonly #functions: FunctionCatalog;
  readonly #baseTables = new Set<SqlNode>();
  /** Aliases of the base tables that a star of the SELECT being walked covers. */
  #covered: readonly string[] = [];
  #setOperations = 0;

  constructor(sql: string, functions: FunctionCatalog) {
    this.#sql = sql;
    this.#functions = functions;
  }

  queryNode(node: SqlNode, scope: Scope | undefined, depth: number): void {
    const fields = this.#fieldsOf(QUERY_NODES, textOf(node, 'type'), node);
    if (node.type === 'SET_OPERATION_NODE' && ++this.#setOperations > SET_OPERATIONS_MAX) {
      this.#refuse(SQL_CODES.tooComplex, `the query has more than ${SET_OPERATIONS_MAX} set operations`);
    }
    const inner = this.#ctes(node, scope, depth);
    if (node.type === 'RECURSIVE_CTE_NODE') {
      // Only the recursive term sees the name; in the first one it is whatever it was outside.
      this.queryNode(nodeOf(node.left), inner, depth + 1);
      const recursive = { name: foldName(textOf(node, 'cte_name')), outer: inner };
      this.queryNode(nodeOf(node.right), recursive, depth + 1);
      this.#expressions(node.key_targets, inner, depth);
      this.#list(node.modifiers, (modifier) => this.#modifier(modifier, inner, depth));
      return;
    }
    const outerCovered = this.#covered;
    this.#covered = [];
    if (fields.from_table !== undefined) {
      this.#tableRef(nodeOf(node.from_table), inner, depth + 1);
      this.#covered = this.#aliasesOf(nodeOf(node.from_table));
    }
    this.#fields(node, fields, inner, depth, ['cte_map', 'from_table']);
    this.#covered = outerCovered;
  }

  /** @returns the scope with all of the node's own CTEs; each of them sees only those before it */
  #ctes(node: SqlNode, outer: Scope | undefined, depth: number): Scope | undefined {
    let scope = outer;
    this.#list(nodeOf(node.cte_map).map, (entry) => {
      const value = nodeOf(entry.value);
      this.#onlyFields(value, ['aliases', 'query', 'materialized', 'key_targets']);
      this.#statement(nodeOf(value.query), scope, depth);
      this.#expressions(value.key_targets, scope, depth);
      scope = { name: foldName(textOf(entry, 'key')), outer: scope };
    });
    return scope;
  }

  #statement(statement: SqlNode, scope: Scope | undefined, depth: number): void {
    this.#onlyFields(statement, ['node', 'named_param_map']);
    this.queryNode(nodeOf(statement.node), scope, depth + 1);
  }

  #fieldsOf(table: Readonly<Record<string, Fields>>, name: string, node: SqlNode): Fields {
    const fields = Object.hasOwn(table, name) ? table[name] : undefined;
    if (fields === undefined) {
      if (name === 'SHOW_REF') {
        this.#refuse(SQL_CODES.unsupported, 'DESCRIBE, SHOW and SUMMARIZE are not available', node);
      }
      this.#refuse(SQL_CODES.unsupported, `${name} is not supported`, node);
    }
    return fields;
  }

  #fields(
    node: SqlNode,
    fields: Fields,
    scope: Scope | undefined,
    depth: number,
    done: readonly string[] = [],
  ): void {
    if (depth > DEPTH_MAX) {
      this.#refuse(SQL_CODES.tooDeep, `the query is nested more than ${DEPTH_MAX} levels deep`);
    }
    this.#onlyFields(node, Object.keys(fields));
    for (const [field, kind] of Object.entries(fields)) {
      if (!done.includes(field)) this.#field(node, field, kind, scope, depth + 1);
    }
  }

  #field(node: SqlNode, field: string, kind: FieldKind, scope: Scope | undefined, depth: number): void {
    const value = node[field];
    if (kind === 'plain' || value === null || value === undefined) return;
    switch (kind) {
      case 'absent':
        if (value !== false && !(Array.isArray(value) && value.length === 0)) {
          this.#refuse(SQL_CODES.unsupported, `${field.replaceAll('_', ' ')} is not supported`, node);
        }
        return;
      case 'expression':
        this.#expression(nodeOf(value), scope, depth);
        return;
      case 'expressions':
        this.#expressions(value, scope, depth);
        return;
      case 'rows':
        for (const row of arrayOf(value)) this.#expressions(row, scope, depth);
        return;
      case 'caseChecks':
        this.#list(value, (check) => {
          this.#onlyFields(check, ['when_expr', 'then_expr']);
          this.#expression(nodeOf(check.when_expr), scope, depth);
          this.#expression(nodeOf(check.then_expr), scope, depth);
        });
        return;
      case 'columnNames':
        for (const name of Array.isArray(value) ? value : [value]) this.#columnName(name);
        return;
      case 'replacements':
        this.#list(value, (entry) => {
          this.#columnName(entry.key);
          this.#expression(nodeOf(entry.value), scope, depth);
        });
        return;
      case 'qualifiedColumns':
        this.#list(value, (entry) => this.#columnName(entry.column));
        return;
      case 'renames':
        this.#list(value, (entry) => this.#columnName(nodeOf(entry.key).column));
        return;
      case 'type':
        checkType(nodeOf(value), node, this.#sql);
        return;
      case 'orders':
        this.#list(value, (order) => {
          this.#onlyFields(order, ['type', 'null_order', 'expression']);
          this.#expression(nodeOf(order.expression), scope, depth);
        });
        return;
      case 'modifier':
        this.#modifier(nodeOf(value), scope, depth);
        return;
      case 'modifiers':
        this.#list(value, (modifier) => this.#modifier(modifier, scope, depth));
        return;
      case 'queryNode':
        this.queryNode(nodeOf(value), scope, depth);
        return;
      case 'statement':
        this.#statement(nodeOf(value), scope, depth);
        return;
      case 'tableRef':
        this.#tableRef(nodeOf(value), scope, depth);
        return;
      case 'pivots':
        this.#pivots(value, scope, depth);
        return;
      case 'ctes':
        this.#ctes(node, scope, depth);
    }
  }

  #expressions(value: unknown, scope: Scope | undefined, depth: number): void {
    this.#list(value, (expression) => this.#expression(expression, scope, depth));
  }

  #expression(node: SqlNode, scope: Scope | undefined, depth: number): void {
    const name = textOf(node, 'class');
    const fields = this.#fieldsOf(EXPRESSIONS, name, node);
    if (name === 'FUNCTION' || name === 'WINDOW') this.#function(node);
    if (name === 'OPERATOR' && !OPERATORS.has(textOf(node, 'type'))) {
      this.#refuse(SQL_CODES.unsupported, `operator ${textOf(node, 'type')} is not supported`, node);
    }
    if (name === 'STAR') this.#star(node);
    this.#fields(node, fields, scope, depth);
  }

  #function(node: SqlNode): void {
    const name = foldName(textOf(node, 'function_name'));
    const verdict = this.#functions(name);
    if (verdict === 'refused') {
      this.#refuse(SQL_CODES.functionRefused, `function ${name} is not available`, node);
    }
    if (verdict === 'unknown') {
      this.#refuse(SQL_CODES.functionUnknown, `function ${name} does not exist`, node);
    }
  }

  #star(node: SqlNode): void {
    const pattern = node.expr;
    if (pattern !== null && pattern !== undefined) {
      // COLUMNS('…'), COLUMNS([…]), COLUMNS(lambda): names are texts here, and may be patterns.
      if (/payload/i.test(JSON.stringify(pattern))) this.facts.namesPayload = true;
      return;
    }
    const relation = foldName(textOf(node, 'relation_name'));
    const tables = relation === '' ? this.#covered : this.#covered.filter((a) => foldName(a) === relation);
    if (tables.length > 0) this.facts.stars.push({ star: node, tables });
  }

  #tableRef(node: SqlNode, scope: Scope | undefined, depth: number): void {
    const name = textOf(node, 'type');
    const fields = this.#fieldsOf(TABLE_REFS, name, node);
    if (name === 'BASE_TABLE') this.#baseTable(node, scope);
    if (name === 'TABLE_FUNCTION') {
      this.#tableFunction(node, fields, scope, depth);
      return;
    }
    if (name === 'PIVOT') {
      this.#tableRef(nodeOf(node.source), scope, depth + 1);
      const outerCovered = this.#covered;
      this.#covered = this.#aliasesOf(nodeOf(node.source));
      if (this.#covered.length > 0)
        this.facts.implicitColumns.push({ what: 'PIVOT or UNPIVOT of a table', node });
      this.#fields(node, fields, scope, depth, ['source']);
      this.#covered = outerCovered;
      return;
    }
    this.#fields(node, fields, scope, depth);
    if (name === 'JOIN' && node.ref_type === 'NATURAL' && this.#aliasesOf(node).length > 0) {
      this.facts.implicitColumns.push({ what: 'NATURAL JOIN', node });
    }
  }

  #baseTable(node: SqlNode, scope: Scope | undefined): void {
    const written = textOf(node, 'table_name');
    const name = foldName(written);
    const schema = foldName(textOf(node, 'schema_name'));
    // Before the catalog check: 'a.b/c' is a path whatever stands in front of it.
    if (name === '' || /[/\\:.*?%]/.test(name)) {
      this.#refuse(SQL_CODES.pathRefused, `"${written}" is not a table: files cannot be queried`, node);
    }
    if (textOf(node, 'catalog_name') !== '' || (schema !== '' && schema !== 'main')) {
      this.#refuse(SQL_CODES.catalogRefused, 'only tables of schema main can be queried', node);
    }
    this.facts.relationLocations.set(Number(node.query_location), name);
    if (schema === '' && isVisible(scope, name)) return;
    this.facts.tables.add(name);
    this.#baseTables.add(node);
    const aliases = arrayOf(node.column_name_alias);
    if (aliases.some((alias) => foldName(String(alias)) === 'payload')) {
      this.facts.namesPayload = true;
      this.facts.implicitColumns.push({ what: 'a list of column aliases with payload in it', node });
    }
  }

  #tableFunction(node: SqlNode, fields: Fields, scope: Scope | undefined, depth: number): void {
    const call = nodeOf(node.function);
    const name = foldName(textOf(call, 'function_name'));
    const schema = foldName(textOf(call, 'schema'));
    const plain = textOf(call, 'catalog') === '' && (schema === '' || schema === 'main');
    if (!plain || !TABLE_FUNCTIONS.has(name)) {
      this.#refuse(SQL_CODES.tableFunctionRefused, `table function ${name} is not available`, node);
    }
    this.#onlyFields(node, Object.keys(fields));
    this.#fields(call, EXPRESSIONS.FUNCTION!, scope, depth + 1);
  }

  #pivots(value: unknown, scope: Scope | undefined, depth: number): void {
    this.#list(value, (pivot) => {
      this.#onlyFields(pivot, ['pivot_expressions', 'unpivot_names', 'entries', 'pivot_enum', 'subquery']);
      if (pivot.pivot_enum !== '' || (pivot.subquery ?? null) !== null) {
        this.#refuse(SQL_CODES.unsupported, 'PIVOT needs IN with a list of values');
      }
      this.#expressions(pivot.pivot_expressions, scope, depth);
      const unpivots = arrayOf(pivot.pivot_expressions).length === 0;
      this.#list(pivot.entries, (entry) => {
        this.#onlyFields(entry, ['values', 'star_expr', 'alias']);
        if (entry.star_expr !== null) this.#expression(nodeOf(entry.star_expr), scope, depth);
        // UNPIVOT … ON a, b: the columns come as texts.
        if (unpivots) this.#list(entry.values, (column) => this.#columnName(column.value));
      });
    });
  }

  #modifier(node: SqlNode, scope: Scope | undefined, depth: number): void {
    this.#fields(node, this.#fieldsOf(MODIFIERS, textOf(node, 'type'), node), scope, depth);
  }

  #columnName(name: unknown): void {
    if (typeof name === 'string' && foldName(name) === 'payload') this.facts.namesPayload = true;
  }

  /** The base tables whose columns a bare star over this relation has. */
  #aliasesOf(ref: SqlNode): string[] {
    if (ref.type === 'JOIN') {
      const left = this.#aliasesOf(nodeOf(ref.left));
      const onlyLeft = ref.join_type === 'SEMI' || ref.join_type === 'ANTI';
      return onlyLeft ? left : [...left, ...this.#aliasesOf(nodeOf(ref.right))];
    }
    if (!this.#baseTables.has(ref)) return [];
    return [textOf(ref, 'alias') || textOf(ref, 'table_name')];
  }

  #list(value: unknown, visit: (item: SqlNode) => void): void {
    for (const item of arrayOf(value)) visit(nodeOf(item));
  }

  #onlyFields(node: SqlNode, known: readonly string[]): void {
    for (const field of Object.keys(node)) {
      if (!known.includes(field)) {
        this.#refuse(SQL_CODES.unsupported, `${field.replaceAll('_', ' ')} is not supported`, node);
      }
    }
  }

  #refuse(code: SqlCode, message: string, node?: SqlNode): never {
    throw sqlError(code, message, positionOf(node, this.#sql));
  }
}

function isVisible(scope: Scope | undefined, name: string): boolean {
  for (let at = scope; at !== undefined; at = at.outer) if (at.name === name) return true;
  return false;
}
