import { type Principal, requireRead } from '@miniodb/core/auth/principal.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { Gate, GatedQuery } from '@miniodb/core/sql/gate.ts';
import type { QuerierMetrics } from '../metrics.ts';
import type { Executor, QueryResult } from './execute.ts';
import type { Fetched, Fetcher } from './fetch.ts';
import type { Snapshots, TableView } from './snapshot.ts';
import { sourceOf } from './sources.ts';
import type { TableSource } from './views.ts';

/**
 * The way of a query, once it is known who asks: gate and grants (again: the gateway's word is not enough), snapshot of each table,
 * fetch of its files and pending rows, execute on a locked instance, stream. What was pruned or compacted away meanwhile
 * means a new snapshot, never a shorter answer.
 */
export interface QueryContext {
  readonly gate: Gate;
  readonly snapshots: Snapshots;
  readonly fetcher: Fetcher;
  readonly executor: Executor;
  readonly metrics: QuerierMetrics;
  readonly defaultTable: string;
  readonly queriesMax: number;
}

export interface QueryRequest {
  readonly sql: string;
  readonly params: readonly unknown[];
  /** `<generation>:<sequence>` of a write that the answer must include, or empty. */
  readonly position: string;
  /** Who asks, as a gateway vouches for. */
  readonly principal: Principal;
}

export interface RunningAnswer {
  readonly columns: QueryResult['columns'];
  readonly chunks: AsyncIterable<string>;
  stats(): AnswerStats;
  /** Frees what the query holds. Repeatable. */
  close(): Promise<void>;
}

export interface AnswerStats {
  readonly rowCount: number;
  readonly filesRead: number;
  readonly bytesRead: number;
  readonly pendingRows: number;
}

const SNAPSHOTS_PER_QUERY_MAX = 4;

export class QueryPipeline {
  readonly #context: QueryContext;
  #running = 0;

  constructor(context: QueryContext) {
    this.#context = context;
  }

  get running(): number {
    return this.#running;
  }

  async run(request: QueryRequest, signal: AbortSignal): Promise<RunningAnswer> {
    const { gate, snapshots, defaultTable, queriesMax, metrics } = this.#context;
    const { principal } = request;
    if (this.#running >= queriesMax) {
      throw new MiniodbError('resource_exhausted', `this querier runs ${queriesMax} queries already`, {
        code: 'too_many_queries',
        retryAfterMs: 200,
      });
    }
    this.#running += 1;
    const started = performance.now();
    const ended = () => {
      this.#running -= 1;
      metrics.queried((performance.now() - started) / 1_000);
    };
    try {
      const names = await snapshots.names();
      const isTable = (name: string) => names.has(name) && principal.grants.allow('read', name);
      const gated = await gate.check(request.sql, { defaultTable, isTable });
      const tables = gated.tables.map(({ name }) => name);
      requireRead(principal, tables);
      return await this.#execute(gated, request, signal, ended);
    } catch (error) {
      ended();
      throw error;
    }
  }

  async #execute(
    gated: GatedQuery,
    request: QueryRequest,
    signal: AbortSignal,
    ended: () => void,
  ): Promise<RunningAnswer> {
    const { snapshots, fetcher, executor } = this.#context;
    for (let attempt = 1; ; attempt += 1) {
      const fetched: Fetched[] = [];
      const release = async () => {
        await Promise.all(fetched.map((part) => part.release()));
      };
      try {
        const views: TableView[] = [];
        for (const { name } of gated.tables) views.push(await snapshots.view(name));
        for (const view of views) checkPosition(view, request.position);
        fetcher.requireFits(views);
        const sources: TableSource[] = [];
        for (const [at, { name, namesPayload }] of gated.tables.entries()) {
          const view = views[at]!;
          const part = await fetcher.fetch(view.snapshot, view.files, signal);
          fetched.push(part);
          sources.push(sourceOf(name, namesPayload, view, part));
        }
        const result = await executor.run({ sql: gated.sql, params: request.params, sources }, signal);
        return answer(result, fetched, release, ended);
      } catch (error) {
        const gone = isFileGone(error);
        if (gone) await fetcher.forgetMissing(fetched);
        await release();
        if (!gone || attempt === SNAPSHOTS_PER_QUERY_MAX) throw error;
      }
    }
  }
}

function isFileGone(error: unknown): boolean {
  return error instanceof MiniodbError && error.code === 'file_gone';
}

function answer(
  result: QueryResult,
  fetched: readonly Fetched[],
  release: () => Promise<void>,
  ended: () => void,
): RunningAnswer {
  let closed: Promise<void> | undefined;
  const close = async () => {
    await result.close();
    await release();
    ended();
  };
  return {
    columns: result.columns,
    chunks: result.chunks,
    stats: () => ({
      rowCount: result.rowCount(),
      filesRead: fetched.reduce((sum, part) => sum + part.paths.size, 0),
      bytesRead: fetched.reduce((sum, part) => sum + part.bytes, 0),
      pendingRows: fetched.reduce((sum, part) => sum + part.pendingRows, 0),
    }),
    close: () => {
      closed ??= close();
      return closed;
    },
  };
}

/** A primary that lost acknowledged writes in a failover must not answer as if they had never been. */
function checkPosition(view: TableView, position: string): void {
  if (position === '') return;
  const match = /^([0-9a-f]+):(\d+)$/.exec(position);
  if (match === null) {
    throw new MiniodbError('invalid_argument', 'position is not one that a write answered', {
      code: 'invalid_position',
    });
  }
  const { generation, seq } = view.snapshot;
  if (match[1] === generation && BigInt(seq) < BigInt(match[2]!)) {
    throw new MiniodbError('unavailable', 'the position is not reached', { code: 'position_not_reached' });
  }
}
