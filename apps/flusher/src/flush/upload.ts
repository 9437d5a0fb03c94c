import type { EncodedFile } from '@miniodb/core/encode/encoder.ts';
import type { Seal, ShardRef } from '@miniodb/core/queue/seals.ts';
import { failpoint } from '@miniodb/core/runtime/failpoints.ts';
import type { ObjectStore } from '@miniodb/core/storage/object-store.ts';
import { MIXED_DAY, objectFolder } from '@miniodb/core/table/keys.ts';

export interface UploadedFile {
  readonly file: EncodedFile;
  readonly key: string;
  readonly day: string;
}

const UPLOADS_AT_ONCE = 4;
const PARQUET_TYPE = 'application/vnd.apache.parquet';

/** Stores every file under a key of its own content, so that another encoding of the same seal never replaces it. */
export async function upload(
  store: ObjectStore,
  ref: ShardRef,
  seal: Seal,
  files: readonly EncodedFile[],
  signal: AbortSignal,
): Promise<UploadedFile[]> {
  await failpoint('fl.put.before');
  const uploads = files.map((file) => {
    const day = file.day ?? MIXED_DAY;
    return {
      file,
      day,
      key: `${objectFolder(ref.table, ref.shard, day, file.id)}/${objectName(ref, seal, file)}`,
    };
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
  await failpoint('fl.put.after');
  return uploads;
}

function objectName(ref: ShardRef, seal: Seal, file: EncodedFile): string {
  const part = `${file.part}of${file.parts}`;
  return `${seal.sealedMs}-${ref.generation}-${seal.id}-${part}-${file.sha256.slice(0, 16)}.parquet`;
}
