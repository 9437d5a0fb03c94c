import { asMiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { CallContext, GatewayApi } from '../api.ts';
import type { Auditor } from './auditor.ts';
import { type AuditDetails, cutSql, cutTable } from './entry.ts';

interface Call {
  readonly operation: string;
  /** As the caller wrote it; undefined where it names none. */
  readonly table: string | undefined;
  readonly call: CallContext;
  readonly details: AuditDetails;
  /** Told of with its like instead of by itself. */
  readonly merge?: boolean;
}

interface Told {
  readonly records: number;
  readonly details?: AuditDetails;
}

/**
 * The gateway's API with every call audited, whatever server it came through. Health is left out: it needs no identity,
 * says nothing of data, and load balancers ask for it all day.
 * @param canonical a table's name in key form; throws for names that no table can have
 */
export function audited(api: GatewayApi, auditor: Auditor, canonical: (table: string) => string): GatewayApi {
  const watch = async <Result>(
    { operation, table, call, details, merge = false }: Call,
    run: (call: CallContext) => Promise<Result>,
    tell: (result: Result) => Told,
  ): Promise<Result> => {
    const atMs = Date.now();
    const started = performance.now();
    let tables = nameOf(table, canonical);
    const onTables = (names: readonly string[]) => {
      tables = names.join(',');
      call.onTables?.(names);
    };
    const done = (told: Told, error: string | undefined) => {
      const entry = {
        atMs,
        table: tables,
        operation,
        user: call.principal.user,
        details: { ...details, ...told.details },
        durationMs: performance.now() - started,
        recordCount: told.records,
        error,
      };
      if (merge) auditor.merge(entry);
      else auditor.record({ ...entry, details: { request_id: call.requestId, ...entry.details } });
    };
    let result: Result;
    try {
      result = await run({ ...call, onTables });
    } catch (thrown) {
      done({ records: 0 }, asMiniodbError(thrown).code);
      markAudited(thrown);
      throw thrown;
    }
    done(tell(result), undefined);
    return result;
  };
  const none = () => ({ records: 0 });

  return {
    writeRow: (table, row, call) =>
      watch(
        { operation: 'write', table, call, details: {}, merge: true },
        (own) => api.writeRow(table, row, own),
        () => ({ records: 1 }),
      ),
    writeBatch: (request, call) =>
      watch(
        { operation: 'write', table: request.table, call, details: {} },
        (own) => api.writeBatch(request, own),
        ({ accepted, rejected, duplicate, ack }) => ({
          records: accepted,
          details: { ack, ...(rejected > 0 && { rejected }), ...(duplicate && { duplicate }) },
        }),
      ),
    createTable: (table, config, ifNotExists, call) =>
      watch(
        { operation: 'create', table, call, details: { if_not_exists: ifNotExists } },
        (own) => api.createTable(table, config, ifNotExists, own),
        none,
      ),
    dropTable: (table, options, call) =>
      watch(
        {
          operation: 'drop',
          table,
          call,
          details: { cascade: options.cascade, if_exists: options.ifExists },
        },
        (own) => api.dropTable(table, options, own),
        ({ filesDeleted }) => ({ records: 0, details: { files_deleted: filesDeleted } }),
      ),
    listTables: (pattern, call) =>
      watch(
        { operation: 'list', table: undefined, call, details: { pattern: cutTable(pattern) } },
        (own) => api.listTables(pattern, own),
        (tables) => ({ records: tables.length }),
      ),
    describeTable: (table, call) =>
      watch(
        { operation: 'describe', table, call, details: {} },
        (own) => api.describeTable(table, own),
        none,
      ),
    cleanupTable: (table, wanted, call) =>
      watch(
        {
          operation: 'cleanup',
          table,
          call,
          details: { older_than: cutTable(wanted.olderThan), dry_run: wanted.dryRun },
        },
        (own) => api.cleanupTable(table, wanted, own),
        ({ rows, files, before }) => ({ records: rows, details: { files, before } }),
      ),
    flushTable: (table, waits, call) =>
      watch(
        { operation: 'flush', table, call, details: { wait: waits } },
        (own) => api.flushTable(table, waits, own),
        ({ flushed }) => ({ records: 0, details: { flushed } }),
      ),
    updateTable: (table, change, call) =>
      watch(
        {
          operation: 'update',
          table,
          call,
          details: {
            fields: Object.keys(change.config).join(','),
            ...(change.status !== undefined && { status: change.status }),
          },
        },
        (own) => api.updateTable(table, change, own),
        none,
      ),
    backupTable: (table, wanted, call) =>
      watch(
        { operation: 'backup', table, call, details: { id: cutTable(wanted.id), day: cutTable(wanted.day) } },
        (own) => api.backupTable(table, wanted, own),
        ({ id, state, result }) => ({ records: result?.rows ?? 0, details: { task: id, state } }),
      ),
    restoreTable: (table, wanted, call) =>
      watch(
        {
          operation: 'restore',
          table: wanted.target === '' ? table : wanted.target,
          call,
          details: { from_table: cutTable(table), backup: cutTable(wanted.backup), mode: wanted.mode },
        },
        (own) => api.restoreTable(table, wanted, own),
        ({ id, state, result }) => ({ records: result?.rows ?? 0, details: { task: id, state } }),
      ),
    listBackups: (table, call) =>
      watch(
        { operation: 'list_backups', table, call, details: {} },
        (own) => api.listBackups(table, own),
        (backups) => ({ records: backups.length }),
      ),
    lookAtTask: (id, call) =>
      watch(
        { operation: 'look_at_task', table: undefined, call, details: { task: cutTable(id) }, merge: true },
        (own) => api.lookAtTask(id, own),
        none,
      ),
    query: (request, call) =>
      watch(
        { operation: 'query', table: undefined, call, details: { sql: cutSql(request.sql) } },
        (own) => api.query(request, own),
        ({ rowCount }) => ({ records: rowCount }),
      ),
    stats: (call) =>
      watch({ operation: 'stats', table: undefined, call, details: {} }, (own) => api.stats(own), none),
    nodes: (call) =>
      watch(
        { operation: 'nodes', table: undefined, call, details: {} },
        (own) => api.nodes(own),
        (nodes) => ({ records: nodes.length }),
      ),
    health: (call) => api.health(call),
  };
}

function nameOf(table: string | undefined, canonical: (table: string) => string): string {
  if (table === undefined) return '';
  try {
    return canonical(table);
  } catch {
    return cutTable(table);
  }
}

const auditedErrors = new WeakSet<Error>();

function markAudited(thrown: unknown): void {
  if (thrown instanceof Error) auditedErrors.add(thrown);
}

/** Whether a failure has been told of: what fails before it reaches the API has not. */
export function isAudited(thrown: unknown): boolean {
  return thrown instanceof Error && auditedErrors.has(thrown);
}

/**
 * Tells of a call that a server refused by itself: no identity, or a request that could not be read. Merged, so that
 * whoever sends rubbish does not fill the audit. @param user `''` when nobody is known
 */
export function auditRefusal(auditor: Auditor, operation: string, user: string, thrown: unknown): void {
  if (isAudited(thrown)) return;
  auditor.merge({
    atMs: Date.now(),
    table: '',
    operation,
    user,
    details: {},
    durationMs: 0,
    recordCount: 0,
    error: asMiniodbError(thrown).code,
  });
  markAudited(thrown);
}
