import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { type DuckDb, openDuckDb, sqlString } from '@miniodb/core/duckdb/instance.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';

export interface SandboxLimits {
  readonly memoryLimitMiB: number;
  readonly threads: number;
  /** An existing directory; every instance spills into a folder of its own in it, made when needed, removed after. */
  readonly tempDirectory: string;
  readonly tempSizeMiB: number;
}

/**
 * A fresh in-memory DuckDB for one query, as far as it can be made ready before the query is known. Settings are per
 * instance, not per connection, so instances are never shared or used again.
 */
export async function openSandbox(limits: SandboxLimits): Promise<DuckDb> {
  const db = await openDuckDb({
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
    allow_community_extensions: 'false',
    allow_persistent_secrets: 'false',
    allow_unredacted_secrets: 'false',
    // One each: instances name their spill files alike, and may read and write everything in the directory.
    temp_directory: join(limits.tempDirectory, randomUUID()),
    max_temp_directory_size: `${limits.tempSizeMiB}MiB`,
    memory_limit: `${limits.memoryLimitMiB}MiB`,
    threads: String(limits.threads),
    // Structured errors: kinds and names instead of sentences to guess at.
    errors_as_json: 'true',
  });
  try {
    await db.connection.run(`SET TimeZone = 'UTC'`);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/** From here on the instance reaches exactly these files and no setting can change any more. */
export async function lockSandbox(db: DuckDb, paths: readonly string[]): Promise<void> {
  // One statement a call, in this order: allowed_paths means nothing without the second, and is refused after it.
  await db.connection.run(`SET allowed_paths = [${paths.map(sqlString).join(', ')}]`);
  await db.connection.run('SET enable_external_access = false');
  const reader = await db.connection.runAndReadAll(READ_BACK);
  const wrong = reader.getRows().map(([name]) => String(name));
  if (wrong.length > 0) {
    throw new MiniodbError('internal', `the sandbox does not hold: ${wrong.join(', ')}`, {
      code: 'sandbox_open',
    });
  }
  await db.connection.run('SET lock_configuration = true');
}

const READ_BACK = `
  SELECT name FROM duckdb_settings()
  WHERE value <> 'false' AND name IN ('autoinstall_known_extensions', 'autoload_known_extensions',
    'allow_community_extensions', 'allow_persistent_secrets', 'allow_unredacted_secrets', 'enable_external_access')`;
