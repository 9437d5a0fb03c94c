/**
 * The syntax trees we understand: for every node that DuckDB's parser serialises (1.5), each of its fields and what
 * sits in it. The walk refuses a node, an operator or a field that is not listed, so a newer parser that grows one
 * is refused until somebody has looked at it.
 */
export type SqlNode = { readonly [field: string]: unknown };

export type FieldKind =
  /** Flags, enums, locations, literals: nothing that names or runs anything. */
  | 'plain'
  /** Must be null, false or empty. */
  | 'absent'
  | 'expression'
  | 'expressions'
  /** A list of lists of expressions. */
  | 'rows'
  /** [{when_expr, then_expr}] of CASE. */
  | 'caseChecks'
  /** One or more identifiers that name columns. */
  | 'columnNames'
  /** [{key: column, value: expression}] of REPLACE. */
  | 'replacements'
  /** [{catalog, schema, table, column}] of EXCLUDE. */
  | 'qualifiedColumns'
  /** [{key: {column}, value}] of RENAME. */
  | 'renames'
  /** A type of a cast. */
  | 'type'
  /** [{type, null_order, expression}] of ORDER BY. */
  | 'orders'
  | 'modifier'
  | 'modifiers'
  | 'queryNode'
  /** A SELECT statement: {node, named_param_map}. */
  | 'statement'
  | 'tableRef'
  | 'pivots'
  /** {map: [{key, value: {aliases, query, materialized, key_targets}}]} */
  | 'ctes';

export type Fields = Readonly<Record<string, FieldKind>>;

const EXPRESSION: Fields = { class: 'plain', type: 'plain', alias: 'plain', query_location: 'plain' };
const TABLE_REF: Fields = { type: 'plain', alias: 'plain', sample: 'plain', query_location: 'plain' };
const QUERY_NODE: Fields = { type: 'plain', modifiers: 'modifiers', cte_map: 'ctes' };

/** By `class`. */
export const EXPRESSIONS: Readonly<Record<string, Fields>> = {
  BETWEEN: { ...EXPRESSION, input: 'expression', lower: 'expression', upper: 'expression' },
  CASE: { ...EXPRESSION, case_checks: 'caseChecks', else_expr: 'expression' },
  CAST: { ...EXPRESSION, child: 'expression', cast_type: 'type', try_cast: 'plain' },
  COLLATE: { ...EXPRESSION, child: 'expression', collation: 'plain' },
  COLUMN_REF: { ...EXPRESSION, column_names: 'columnNames' },
  COMPARISON: { ...EXPRESSION, left: 'expression', right: 'expression' },
  CONJUNCTION: { ...EXPRESSION, children: 'expressions' },
  CONSTANT: { ...EXPRESSION, value: 'plain' },
  DEFAULT: EXPRESSION,
  FUNCTION: {
    ...EXPRESSION,
    function_name: 'plain',
    // `payload.upper()` is parsed as function upper of schema payload.
    schema: 'columnNames',
    catalog: 'columnNames',
    children: 'expressions',
    filter: 'expression',
    order_bys: 'modifier',
    distinct: 'plain',
    is_operator: 'plain',
    export_state: 'absent',
  },
  LAMBDA: { ...EXPRESSION, lhs: 'expression', expr: 'expression' },
  OPERATOR: { ...EXPRESSION, children: 'expressions' },
  PARAMETER: { ...EXPRESSION, identifier: 'plain' },
  POSITIONAL_REFERENCE: { ...EXPRESSION, index: 'plain' },
  STAR: {
    ...EXPRESSION,
    relation_name: 'columnNames',
    exclude_list: 'columnNames',
    replace_list: 'replacements',
    columns: 'plain',
    expr: 'expression',
    qualified_exclude_list: 'qualifiedColumns',
    rename_list: 'renames',
  },
  SUBQUERY: {
    ...EXPRESSION,
    subquery_type: 'plain',
    subquery: 'statement',
    child: 'expression',
    comparison_type: 'plain',
  },
  WINDOW: {
    ...EXPRESSION,
    function_name: 'plain',
    schema: 'columnNames',
    catalog: 'columnNames',
    children: 'expressions',
    partitions: 'expressions',
    orders: 'orders',
    start: 'plain',
    end: 'plain',
    start_expr: 'expression',
    end_expr: 'expression',
    offset_expr: 'expression',
    default_expr: 'expression',
    ignore_nulls: 'plain',
    filter_expr: 'expression',
    exclude_clause: 'plain',
    distinct: 'plain',
    arg_orders: 'orders',
  },
};

/** The `type`s of class OPERATOR. */
export const OPERATORS: ReadonlySet<string> = new Set([
  'ARRAY_CONSTRUCTOR',
  'ARRAY_EXTRACT',
  'ARRAY_SLICE',
  'COMPARE_IN',
  'COMPARE_NOT_IN',
  'GROUPING_FUNCTION',
  'OPERATOR_COALESCE',
  'OPERATOR_IS_NOT_NULL',
  'OPERATOR_IS_NULL',
  'OPERATOR_NOT',
  'OPERATOR_NULLIF',
  'OPERATOR_TRY',
  'OPERATOR_UNPACK',
  'STRUCT_EXTRACT',
]);

/** By `type`. SHOW_REF (DESCRIBE, SUMMARIZE, SHOW) is left out on purpose: it reads the catalog. */
export const TABLE_REFS: Readonly<Record<string, Fields>> = {
  BASE_TABLE: {
    ...TABLE_REF,
    schema_name: 'plain',
    table_name: 'plain',
    catalog_name: 'plain',
    column_name_alias: 'plain',
    at_clause: 'absent',
  },
  EMPTY: TABLE_REF,
  EXPRESSION_LIST: { ...TABLE_REF, expected_names: 'plain', expected_types: 'absent', values: 'rows' },
  JOIN: {
    ...TABLE_REF,
    left: 'tableRef',
    right: 'tableRef',
    condition: 'expression',
    join_type: 'plain',
    ref_type: 'plain',
    using_columns: 'columnNames',
    delim_flipped: 'absent',
    duplicate_eliminated_columns: 'absent',
  },
  PIVOT: {
    ...TABLE_REF,
    source: 'tableRef',
    aggregates: 'expressions',
    unpivot_names: 'plain',
    pivots: 'pivots',
    groups: 'columnNames',
    column_name_alias: 'plain',
    include_nulls: 'plain',
  },
  SUBQUERY: { ...TABLE_REF, subquery: 'statement', column_name_alias: 'plain' },
  TABLE_FUNCTION: {
    ...TABLE_REF,
    function: 'expression',
    column_name_alias: 'plain',
    with_ordinality: 'plain',
  },
};

/** By `type`, each in the order in which its fields are to be walked: a SELECT's stars need its tables first. */
export const QUERY_NODES: Readonly<Record<string, Fields>> = {
  SELECT_NODE: {
    ...QUERY_NODE,
    from_table: 'tableRef',
    select_list: 'expressions',
    where_clause: 'expression',
    group_expressions: 'expressions',
    group_sets: 'plain',
    aggregate_handling: 'plain',
    having: 'expression',
    sample: 'plain',
    qualify: 'expression',
  },
  SET_OPERATION_NODE: {
    ...QUERY_NODE,
    setop_type: 'plain',
    left: 'queryNode',
    right: 'queryNode',
    setop_all: 'plain',
  },
  RECURSIVE_CTE_NODE: {
    ...QUERY_NODE,
    cte_name: 'plain',
    union_all: 'plain',
    left: 'queryNode',
    right: 'queryNode',
    aliases: 'plain',
    key_targets: 'expressions',
  },
};

/** By `type`. */
export const MODIFIERS: Readonly<Record<string, Fields>> = {
  DISTINCT_MODIFIER: { type: 'plain', distinct_on_targets: 'expressions' },
  LIMIT_MODIFIER: { type: 'plain', limit: 'expression', offset: 'expression' },
  LIMIT_PERCENT_MODIFIER: { type: 'plain', limit: 'expression', offset: 'expression' },
  ORDER_MODIFIER: { type: 'plain', orders: 'orders' },
};

/** By `type`; a null type_info has none. */
export const TYPE_INFOS: ReadonlySet<string> = new Set([
  'ARRAY_TYPE_INFO',
  'DECIMAL_TYPE_INFO',
  'ENUM_TYPE_INFO',
  'GENERIC_TYPE_INFO',
  'GEO_TYPE_INFO',
  'LIST_TYPE_INFO',
  'STRING_TYPE_INFO',
  'STRUCT_TYPE_INFO',
  'UNBOUND_TYPE_INFO',
]);
