import type { EncodedFile } from '@miniodb/core/encode/encoder.ts';
import type { FileEntry } from '@miniodb/core/index/file-entry.ts';
import type { Seal, ShardRef } from '@miniodb/core/queue/seals.ts';
import { failpoint } from '@miniodb/core/runtime/failpoints.ts';
import type { ObjectStore } from '@miniodb/core/storage/object-store.ts';
import { MIXED_DAY, objectFolder } from '@miniodb/core/table/keys.ts';
import { objectName } from '@miniodb/core/table/object-name.ts';

export interface UploadedFile {
  readonly file: EncodedFile;
  readonly key: string;
  readonly day: string;
}

const UPLOADS_AT_ONCE = 4;
const PARQUET_TYPE = 'application/vnd.apache.parquet';

/** The seal's files in the bucket. */
export async function upload(
  store: ObjectStore,
  ref: ShardRef,
  seal: Seal,
  files: readonly EncodedFile[],
  signal: AbortSignal,
): Promise<UploadedFile[]> {
  await failpoint('fl.put.before');
  const uploaded = await uploadAs(store, ref, { id: seal.id, ms: seal.sealedMs }, files, signal);
  await failpoint('fl.put.after');
  return uploaded;
}

/**
 * Stores every file under a key of its own content, so that another encoding of the same rows never replaces it.
 * @param maker the seal or plan that made them, and when
 */
export async function uploadAs(
  store: ObjectStore,
  ref: ShardRef,
  maker: { readonly id: string; readonly ms: number },
  files: readonly EncodedFile[],
  signal: AbortSignal,
): Promise<UploadedFile[]> {
  const uploads = files.map((file) => {
    const day = file.day ?? MIXED_DAY;
    const name = objectName(maker.ms, ref.generation, maker.id, file.part, file.parts, file.sha256);
    return { file, day, key: `${objectFolder(ref.table, ref.shard, day, file.id)}/${name}` };
  });
  for (let from = 0; from < uploads.length; from += UPLOADS_AT_ONCE) {
    await Promise.all(
      uploads
        .slice(from, from + UPLOADS_AT_ONCE)
        .map(({ file, key }) =>
          store.putFile(key, file.path, { sha256: file.sha256, contentType: PARQUET_TYPE, signal }),
        ),
    );
  }
  return uploads;
}

/** @param acceptedMs newest accept time of its rows */
export function entryOf({ file, key }: UploadedFile, acceptedMs: number): FileEntry {
  return {
    v: 1,
    key,
    sha256: file.sha256,
    sizeBytes: file.sizeBytes,
    rows: file.rows,
    minTs: file.minTimestampMicros,
    maxTs: file.maxTimestampMicros,
    minId: file.minId,
    maxId: file.maxId,
    ...(file.ids && { ids: [...file.ids] }),
    acceptedMs,
    columns: file.columns.map(({ name, type }): [string, string] => [name, type]),
    overflow: file.hasOverflow,
  };
}
