import type { DuckDBConnection } from '../duckdb/instance.ts';
import { MiniodbError } from '../runtime/errors.ts';
import { cannotStore, encodeCancelled } from './encode-errors.ts';
import { isUndecodable } from './lines.ts';

/** A connection that an abort interrupts. */
export class Session {
  readonly signal: AbortSignal | undefined;
  readonly #connection: DuckDBConnection;

  constructor(connection: DuckDBConnection, signal: AbortSignal | undefined) {
    this.#connection = connection;
    this.signal = signal;
  }

  throwIfCancelled(): void {
    if (this.signal?.aborted) throw encodeCancelled(this.signal.reason);
  }

  /** One statement and its whole answer; int64 as bigint. */
  async rows(sql: string, params: string[] = []): Promise<unknown[][]> {
    this.throwIfCancelled();
    const interrupt = () => this.#connection.interrupt();
    this.signal?.addEventListener('abort', interrupt);
    try {
      const answer = await this.#connection.runAndReadAll(sql, params);
      this.throwIfCancelled(); // an interrupt between two steps of a statement is lost
      return answer.getRows();
    } finally {
      this.signal?.removeEventListener('abort', interrupt);
    }
  }
}

/** Memory, disk, or a limit of this encoder. */
export function isOutOfResources(error: unknown): boolean {
  return resourceError(error) !== undefined;
}

/**
 * Whether reading row lines failed because of the bytes. Memory, disk and the limits of this encoder say nothing about
 * them, and neither does anything unknown: a batch that is called undecodable is set aside.
 */
export function isPayloadError(error: unknown): boolean {
  if (isOutOfResources(error)) return false;
  return isUndecodable(error) || /^(?:Invalid Input|Conversion) Error: /.test(messageOf(error));
}

function resourceError(error: unknown): MiniodbError | undefined {
  const message = messageOf(error);
  if (/maximum_object_size/.test(message))
    return cannotStore('a row is longer than this encoder reads', error);
  if (/^Out of Memory Error/.test(message)) {
    return new MiniodbError('resource_exhausted', 'the encoder is out of memory', {
      code: 'encoder_out_of_memory',
      cause: error,
    });
  }
  if (/No space left on device|ENOSPC|max_temp_directory_size/.test(message)) {
    return new MiniodbError('resource_exhausted', 'the encoder is out of disk space', {
      code: 'encoder_disk_full',
      cause: error,
    });
  }
  return undefined;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The one place where DuckDB's and the file system's errors become ours. */
export function classified(error: unknown, signal: AbortSignal | undefined): MiniodbError {
  if (error instanceof MiniodbError) return error;
  if (signal?.aborted) return encodeCancelled(error);
  const known = resourceError(error);
  if (known !== undefined) return known;
  return new MiniodbError('internal', 'encoding failed', { code: 'encode_failed', cause: error });
}
