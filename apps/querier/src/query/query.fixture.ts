import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import { openDuckDb, sqlString } from '@miniodb/core/duckdb/instance.ts';
import { rowLine } from '@miniodb/core/table/row-line.ts';
import { type Column, type ColumnType, foldName, type TableSchema } from '@miniodb/core/table/schema.ts';
import { createExecutor, type Executor, type ExecutorOptions } from './execute.ts';
import type { TableSource } from './views.ts';

/** A directory with an executor and ways to make the files it reads. */
export class QueryFixture {
  readonly directory: string;
  readonly executor: Executor;
  #files = 0;

  private constructor(directory: string, executor: Executor) {
    this.directory = directory;
    this.executor = executor;
  }

  static async open(options: Partial<ExecutorOptions> = {}): Promise<QueryFixture> {
    const directory = await mkdtemp(join(tmpdir(), 'miniodb-query-'));
    const executor = createExecutor({
      memoryLimitMiB: 256,
      threads: 1,
      tempDirectory: directory,
      tempSizeMiB: 16,
      resultRowsMax: 10_000,
      resultBytesMax: 4 * 1024 * 1024,
      timeoutMs: 20_000,
      prewarm: 1,
      ...options,
    });
    return new QueryFixture(directory, executor);
  }

  async close(): Promise<void> {
    await this.executor.close();
    await rm(this.directory, { recursive: true });
  }

  /** @param rows [id, microseconds, payload text, payload as sent where it is kept] */
  async pending(
    ...rows: readonly (readonly [string, string, string] | readonly [string, string, string, string])[]
  ): Promise<string> {
    const path = join(this.directory, `pending-${++this.#files}.zst`);
    await writeFile(
      path,
      zstdCompressSync(rows.map(([id, micros, payload, raw]) => rowLine(id, micros, payload, raw)).join('')),
    );
    return path;
  }

  /** @param select SQL whose rows become the file */
  async parquet(select: string): Promise<string> {
    const path = join(this.directory, `file-${++this.#files}.parquet`);
    const db = await openDuckDb();
    try {
      await db.connection.run(`COPY (${select}) TO ${sqlString(path)} (FORMAT parquet)`);
    } finally {
      db.close();
    }
    return path;
  }

  async text(
    sql: string,
    sources: readonly TableSource[] = [],
    params: readonly unknown[] = [],
  ): Promise<string> {
    const result = await this.executor.run({ sql, params, sources }, new AbortController().signal);
    let text = '';
    for await (const chunk of result.chunks) text += chunk;
    return text;
  }

  async rows(
    sql: string,
    sources: readonly TableSource[] = [],
    params: readonly unknown[] = [],
  ): Promise<unknown> {
    return JSON.parse(await this.text(sql, sources, params));
  }
}

export function schemaOf(columns: Readonly<Record<string, ColumnType>>): TableSchema {
  return new Map<string, Column>(
    Object.entries(columns).map(([name, type]) => [foldName(name), { name, type }]),
  );
}
