import { createHash, type Hash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { MiniodbError } from '../runtime/errors.ts';
import { readFully } from './directory-files.ts';
import { localFileFailed } from './object-errors.ts';
import { base64OfHex, type S3Calls, signBody } from './s3-calls.ts';
import { expectSha256, sha256Of } from './sha256.ts';

/** S3 wants at least 5 MiB, and at most 10,000 parts. */
export const PART_BYTES = 16 * 2 ** 20;
const PARTS_MAX = 10_000;
export const MULTIPART_BYTES_MAX = PART_BYTES * PARTS_MAX;
/** Parts in memory, and under way, at once. */
const PARTS_AT_ONCE = 3;
/** How long to wait for the parts of a failed upload to be deleted. */
const ABORT_TIMEOUT_MS = 10_000;

export interface MultipartUpload {
  readonly key: string;
  readonly path: string;
  readonly sizeBytes: number;
  /** Hex, of the whole. */
  readonly sha256: string;
  readonly contentType: string;
  readonly metadata: Record<string, string>;
  readonly signal: AbortSignal | undefined;
  /** Whether the object is there with this SHA-256. */
  readonly isStored: () => Promise<boolean>;
}

/**
 * Uploads a file in parts, each with its own SHA-256, a few at a time. The hash of the whole is computed while the
 * parts are read, and only if it is right do they become an object; else they are deleted again.
 */
export async function uploadInParts(calls: S3Calls, upload: MultipartUpload): Promise<void> {
  const { key, path, sizeBytes, signal } = upload;
  if (sizeBytes > MULTIPART_BYTES_MAX) {
    throw new MiniodbError('invalid_argument', `${sizeBytes} bytes are too many for one object`, {
      code: 'object_too_large',
      details: { key, sizeBytes, maxBytes: MULTIPART_BYTES_MAX },
    });
  }
  await using file = await open(path).catch((error: unknown) => {
    throw localFileFailed(path, error);
  });
  const target = { Bucket: calls.bucket, Key: key };
  const created = await calls.run({ key, signal }, (client, options) =>
    client.send(
      new CreateMultipartUploadCommand({
        ...target,
        ContentType: upload.contentType,
        Metadata: upload.metadata,
        ChecksumAlgorithm: 'SHA256',
      }),
      options,
    ),
  );
  const uploadId = created.UploadId!;
  try {
    const parts = await uploadParts(calls, upload, uploadId, file);
    await complete(calls, upload, uploadId, parts);
  } catch (error) {
    await deleteParts(calls, key, uploadId);
    throw error;
  }
}

async function uploadParts(
  calls: S3Calls,
  upload: MultipartUpload,
  uploadId: string,
  file: FileHandle,
): Promise<CompletedPart[]> {
  const whole = createHash('sha256');
  const done: CompletedPart[] = [];
  const count = Math.ceil(upload.sizeBytes / PART_BYTES);
  while (done.length < count) {
    const wave: Promise<CompletedPart>[] = [];
    for (let part = done.length + 1; part <= count && wave.length < PARTS_AT_ONCE; part++) {
      wave.push(uploadPart(calls, upload, uploadId, part, await readPart(file, upload, part, whole)));
    }
    done.push(...(await allOrFirstError(wave)));
  }
  expectSha256(upload.key, upload.sha256, whole.digest('hex'));
  return done;
}

async function readPart(
  file: FileHandle,
  { path, sizeBytes }: MultipartUpload,
  part: number,
  whole: Hash,
): Promise<Uint8Array> {
  const offset = (part - 1) * PART_BYTES;
  const body = await readFully(file, offset, Math.min(PART_BYTES, sizeBytes - offset)).catch(
    (error: unknown) => {
      throw localFileFailed(path, error);
    },
  );
  whole.update(body);
  return body;
}

async function uploadPart(
  calls: S3Calls,
  { key, signal }: MultipartUpload,
  uploadId: string,
  part: number,
  body: Uint8Array,
): Promise<CompletedPart> {
  const sha256 = sha256Of(body);
  const checksum = base64OfHex(sha256);
  const uploaded = await calls.run({ key, signal }, (client, options) =>
    client.send(
      signBody(
        new UploadPartCommand({
          Bucket: calls.bucket,
          Key: key,
          UploadId: uploadId,
          PartNumber: part,
          Body: body,
          ContentLength: body.length,
          ChecksumSHA256: checksum,
        }),
        sha256,
      ),
      options,
    ),
  );
  return {
    PartNumber: part,
    ETag: uploaded.ETag,
    // Stores that do not know this checksum do not want it back either.
    ...(uploaded.ChecksumSHA256 !== undefined && { ChecksumSHA256: checksum }),
  };
}

async function complete(
  calls: S3Calls,
  upload: MultipartUpload,
  uploadId: string,
  parts: CompletedPart[],
): Promise<void> {
  const { key, signal } = upload;
  try {
    await calls.run({ key, signal }, (client, options) =>
      client.send(
        new CompleteMultipartUploadCommand({
          Bucket: calls.bucket,
          Key: key,
          UploadId: uploadId,
          MultipartUpload: { Parts: parts },
        }),
        options,
      ),
    );
  } catch (error) {
    // After a lost answer the repeated call finds no such upload, although it has become the object.
    if (error instanceof MiniodbError && error.code === 'upload_missing' && (await upload.isStored())) return;
    throw error;
  }
}

/**
 * Not with the caller's signal, which may be why the upload failed. A failure here hides nothing: the parts cost
 * room until the bucket's rule for incomplete uploads removes them.
 */
async function deleteParts(calls: S3Calls, key: string, uploadId: string): Promise<void> {
  const signal = AbortSignal.timeout(ABORT_TIMEOUT_MS);
  const command = { Bucket: calls.bucket, Key: key, UploadId: uploadId };
  await calls
    .run({ key, signal }, (client, options) => client.send(new AbortMultipartUploadCommand(command), options))
    .catch(() => undefined);
}

/** Waits for all of them, so that no part is still under way when the others are deleted. */
async function allOrFirstError<Result>(tasks: readonly Promise<Result>[]): Promise<Result[]> {
  const settled = await Promise.allSettled(tasks);
  return settled.map((task) => {
    if (task.status === 'rejected') throw task.reason;
    return task.value;
  });
}
