import { asyncBufferFromFile, type FileMetaData, parquetMetadataAsync, parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { parseExact } from '../../table/exact-json.ts';
import type { EncodedFile } from '../encoder.ts';

/** A row as an independent reader finds it in a file. */
export interface StoredRow {
  readonly id: string;
  /** Microseconds since 1970 UTC. */
  readonly micros: bigint;
  /** Without nulls; BIGINT as bigint, JSON parsed with numbers as parseExact gives them. */
  readonly columns: Readonly<Record<string, unknown>>;
  /** Null where a file with the column has none for the row. */
  readonly raw: string | null | undefined;
  readonly overflow: Readonly<Record<string, unknown>> | undefined;
}

export interface StoredFile {
  readonly metadata: FileMetaData;
  readonly footer: Readonly<Record<string, string | undefined>>;
  readonly rows: readonly StoredRow[];
}

/** For tests: a file as hyparquet reads it, which shares no code with either encoder. */
export async function readBack({ path }: EncodedFile): Promise<StoredFile> {
  const file = await asyncBufferFromFile(path);
  const metadata = await parquetMetadataAsync(file);
  const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const parsers = {
    timestampFromMicroseconds: (micros: bigint) => micros,
    jsonFromBytes: (bytes: Uint8Array | undefined) => bytes && parseExact(utf8.decode(bytes)),
    stringFromBytes: (bytes: Uint8Array | undefined) => bytes && utf8.decode(bytes),
  };
  const objects = await parquetReadObjects({ file, metadata, compressors, parsers });
  return {
    metadata,
    footer: Object.fromEntries((metadata.key_value_metadata ?? []).map(({ key, value }) => [key, value])),
    rows: objects.map(({ id, timestamp, '~payload': raw, '~overflow': overflow, ...rest }) => ({
      id: id as string,
      micros: timestamp as bigint,
      columns: Object.fromEntries(
        Object.entries(rest).filter(([, value]) => value !== null && value !== undefined),
      ),
      raw: raw as StoredRow['raw'],
      overflow: (overflow ?? undefined) as StoredRow['overflow'],
    })),
  };
}
