import { asMiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { CallContext, GatewayApi } from '../api.ts';
import type { MemoryGuard } from './memory-guard.ts';
import type { PrincipalLimits } from './principal-limits.ts';
import { Slots } from './slots.ts';

/** A thousand connections with ten streams each; a unary write costs some 10 KiB while it waits. */
const WRITES_MAX = 10_000;
/** Queriers run some eight each: what waits beyond them waits for nothing. */
const QUERIES_MAX = 1_000;
/** Everything else is a few reads of Redis. */
const OTHERS_MAX = 1_000;

export interface Guards {
  readonly memory: Pick<MemoryGuard, 'admit'>;
  readonly principals: PrincipalLimits;
  /** A table's name in key form; throws for names that no table can have. */
  readonly canonical: (table: string) => string;
  /** Counts a call that was refused here. */
  readonly onRefused: (code: string) => void;
  readonly writesMax?: number;
  readonly queriesMax?: number;
}

/**
 * The gateway's API, refusing early what it cannot take: too many calls at once, more than a principal may, more than
 * Redis can hold. Health always passes: who asks wants to know just then.
 */
export function guarded(api: GatewayApi, guards: Guards): GatewayApi {
  const { memory, principals, canonical } = guards;
  const writes = new Slots('writes', guards.writesMax ?? WRITES_MAX);
  const queries = new Slots('queries', guards.queriesMax ?? QUERIES_MAX);
  const others = new Slots('other calls', OTHERS_MAX);
  /** The work of the API counts its own refusals. */
  const admitted = async <Result>(
    slots: Slots,
    call: CallContext,
    admit: (work: () => Promise<Result>) => Promise<Result>,
    work: () => Promise<Result>,
  ): Promise<Result> => {
    let inWork = false;
    try {
      return await slots.hold(() => {
        principals.takeRequest(call.principal.user, call.bodyBytes ?? 0, performance.now());
        return admit(() => {
          inWork = true;
          return work();
        });
      });
    } catch (error) {
      if (!inWork) guards.onRefused(asMiniodbError(error).code);
      throw error;
    }
  };
  const write = <Result>(table: string, call: CallContext, work: () => Promise<Result>) =>
    admitted(
      writes,
      call,
      async (run) => {
        const name = canonical(table);
        // Who may not write there hears that, and nothing of how much is pending.
        if (call.principal.grants.allow('write', name)) {
          await memory.admit(name, call.bodyBytes ?? 0, call.signal);
        }
        return run();
      },
      work,
    );
  const other = <Result>(call: CallContext, work: () => Promise<Result>) =>
    admitted(others, call, (run) => run(), work);

  return {
    writeRow: (table, row, call) => write(table, call, () => api.writeRow(table, row, call)),
    writeBatch: (request, call) => write(request.table, call, () => api.writeBatch(request, call)),
    query: (request, call) =>
      admitted(
        queries,
        call,
        (run) => principals.holdQuery(call.principal.user, run),
        () => api.query(request, call),
      ),
    createTable: (table, config, ifNotExists, call) =>
      other(call, () => api.createTable(table, config, ifNotExists, call)),
    dropTable: (table, options, call) => other(call, () => api.dropTable(table, options, call)),
    listTables: (pattern, call) => other(call, () => api.listTables(pattern, call)),
    describeTable: (table, call) => other(call, () => api.describeTable(table, call)),
    cleanupTable: (table, wanted, call) => other(call, () => api.cleanupTable(table, wanted, call)),
    // It waits as long as a write that waits for its commit, and a full Redis needs it most.
    flushTable: (table, waits, call) =>
      admitted(
        writes,
        call,
        (run) => run(),
        () => api.flushTable(table, waits, call),
      ),
    updateTable: (table, change, call) => other(call, () => api.updateTable(table, change, call)),
    backupTable: (table, wanted, call) => other(call, () => api.backupTable(table, wanted, call)),
    restoreTable: (table, wanted, call) => other(call, () => api.restoreTable(table, wanted, call)),
    listBackups: (table, call) => other(call, () => api.listBackups(table, call)),
    lookAtTask: (id, call) => other(call, () => api.lookAtTask(id, call)),
    stats: (call) => other(call, () => api.stats(call)),
    nodes: (call) => other(call, () => api.nodes(call)),
    health: (call) => api.health(call),
  };
}
