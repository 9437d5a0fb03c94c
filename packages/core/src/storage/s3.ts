import type { Readable } from 'node:stream';
import {
  type BucketLocationConstraint,
  CreateBucketCommand,
  type CreateBucketCommandInput,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { assertInvariant, MiniodbError } from '../runtime/errors.ts';
import { type ByteRange, checkGetSize, checkRange } from './byte-range.ts';
import { sendLocalFile, sha256OfLocalFile, sizeOfLocalFile } from './local-source.ts';
import { objectNotFound, throwIfCancelled } from './object-errors.ts';
import { checkKeyPrefix, checkObjectKey } from './object-key.ts';
import type { GetOptions, ObjectHead, ObjectStore, ObjectSummary, PutOptions } from './object-store.ts';
import { receiveFile } from './receive-file.ts';
import { RETRY_POLICY, type RetryPolicy } from './retry.ts';
import { base64OfHex, S3Calls, signBody } from './s3-calls.ts';
import { bodyOf, connectS3, decodeListedKey } from './s3-client.ts';
import { uploadInParts } from './s3-multipart.ts';
import { checkSha256, expectSha256, isSha256, sha256Of } from './sha256.ts';

export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

export interface S3StoreOptions {
  readonly bucket: string;
  readonly region: string;
  /** `http://host:port` of MinIO or another store; absent for AWS. */
  readonly endpoint?: string;
  /** `http://host/bucket/key` instead of `http://bucket.host/key`. */
  readonly pathStyle: boolean;
  /** Absent: the client's own chain, for roles of pods and machines. */
  readonly credentials?: S3Credentials;
  /** Whether ensureReady makes a missing bucket. */
  readonly createBucket?: boolean;
  readonly limits?: Partial<S3Limits>;
}

export interface S3Limits {
  readonly connectTimeoutMs: number;
  /** Without a byte in either direction. */
  readonly idleTimeoutMs: number;
  /** Connections, all kept alive, and so calls under way at once; more calls wait. */
  readonly connectionsMax: number;
  /** Larger files are uploaded in parts. */
  readonly singlePutBytesMax: number;
  /** Keys of one page of a list; S3 gives at most 1,000. */
  readonly listPageKeys: number;
  readonly retry: RetryPolicy;
}

export const S3_LIMITS: S3Limits = {
  connectTimeoutMs: 3_000,
  idleTimeoutMs: 15_000,
  connectionsMax: 64,
  singlePutBytesMax: 64 * 2 ** 20,
  listPageKeys: 1000,
  retry: RETRY_POLICY,
};

const SHA256_METADATA = 'sha256';
const CONTENT_TYPE = 'application/octet-stream';

/**
 * An object store in a bucket of MinIO, AWS S3 or another store with S3's API. Objects appear whole or not at all
 * and a key's last complete put wins: S3's own promise. `list` is in key order in general purpose buckets.
 *
 * A put sends its SHA-256 three times: signed as the hash of the payload, which every store checks; as
 * `x-amz-checksum-sha256`, which newer ones keep and check again when they read; and as metadata of the object,
 * which `head` answers and which is the same everywhere, also for objects uploaded in parts. The client's own CRC32
 * is off: it would send streams in chunks with trailers, which not every store understands.
 */
export class S3ObjectStore implements ObjectStore {
  readonly location: string;
  readonly #client: S3Client;
  readonly #calls: S3Calls;
  readonly #options: S3StoreOptions;
  readonly #limits: S3Limits;

  constructor(options: S3StoreOptions) {
    const { bucket, endpoint, region } = options;
    this.#options = options;
    this.#limits = { ...S3_LIMITS, ...options.limits };
    this.location = `s3://${bucket} at ${endpoint ?? `AWS ${region}`}`;
    this.#client = connectS3(options, this.#limits);
    this.#calls = new S3Calls(this.#client, { bucket, location: this.location }, this.#limits);
  }

  async ensureReady(signal?: AbortSignal): Promise<void> {
    const { bucket, createBucket = false } = this.#options;
    try {
      await this.#calls.run({ signal }, (client, options) =>
        client.send(new HeadBucketCommand({ Bucket: bucket }), options),
      );
    } catch (error) {
      const missing = error instanceof MiniodbError && error.code === 'bucket_missing';
      if (!missing || !createBucket) throw error;
      await this.#createBucket(signal);
    }
  }

  async put(key: string, body: Uint8Array, options: PutOptions): Promise<void> {
    checkObjectKey(key);
    checkSha256(options.sha256);
    throwIfCancelled(options.signal);
    expectSha256(key, options.sha256, sha256Of(body));
    await this.#calls.run({ key, signal: options.signal }, (client, callOptions) =>
      client.send(this.#putCommand(key, body, body.length, options), callOptions),
    );
  }

  async putFile(key: string, path: string, options: PutOptions): Promise<void> {
    checkObjectKey(key);
    checkSha256(options.sha256);
    const { sha256, contentType = CONTENT_TYPE, signal } = options;
    throwIfCancelled(signal);
    const sizeBytes = await sizeOfLocalFile(path);
    if (sizeBytes > this.#limits.singlePutBytesMax) {
      const isStored = async () => (await this.head(key, signal))?.sha256 === sha256;
      const metadata = { [SHA256_METADATA]: sha256 };
      await uploadInParts(this.#calls, {
        key,
        path,
        sizeBytes,
        sha256,
        contentType,
        metadata,
        signal,
        isStored,
      });
      return;
    }
    expectSha256(key, sha256, await sha256OfLocalFile(path));
    await this.#calls.run({ key, signal }, (client) =>
      sendLocalFile(path, signal, (body, abortSignal) =>
        client.send(this.#putCommand(key, body, sizeBytes, options), { abortSignal }),
      ),
    );
  }

  async get(key: string, options: GetOptions = {}): Promise<Uint8Array> {
    checkObjectKey(key);
    const { range, sha256, signal } = options;
    throwIfCancelled(signal);
    if (range !== undefined) {
      checkRange(range);
      checkGetSize(key, range.lengthBytes);
    }
    const bytes = await this.#getBytes(key, range, signal);
    if (sha256 !== undefined) expectSha256(key, sha256, sha256Of(bytes));
    return bytes;
  }

  async getFile(
    key: string,
    path: string,
    options: { sha256?: string; signal?: AbortSignal } = {},
  ): Promise<number> {
    checkObjectKey(key);
    const { signal } = options;
    throwIfCancelled(signal);
    return this.#calls.run({ key, signal }, async (client, callOptions) => {
      const answer = await client.send(
        new GetObjectCommand({ Bucket: this.#calls.bucket, Key: key }),
        callOptions,
      );
      return receiveFile(bodyOf(answer), path, { key, ...options });
    });
  }

  async head(key: string, signal?: AbortSignal): Promise<ObjectHead | undefined> {
    checkObjectKey(key);
    try {
      const answer = await this.#calls.run({ key, signal }, (client, options) =>
        client.send(new HeadObjectCommand({ Bucket: this.#calls.bucket, Key: key }), options),
      );
      const sha256 = answer.Metadata?.[SHA256_METADATA] ?? '';
      return { sizeBytes: answer.ContentLength ?? 0, sha256: isSha256(sha256) ? sha256 : undefined };
    } catch (error) {
      if (error instanceof MiniodbError && error.code === 'object_not_found') return undefined;
      throw error;
    }
  }

  async *list(prefix: string, signal?: AbortSignal): AsyncGenerator<ObjectSummary> {
    checkKeyPrefix(prefix);
    for (let token: string | undefined; ; ) {
      const page = await this.#calls.run({ key: prefix, signal }, (client, options) =>
        client.send(
          new ListObjectsV2Command({
            Bucket: this.#calls.bucket,
            Prefix: prefix,
            MaxKeys: this.#limits.listPageKeys,
            EncodingType: 'url',
            ContinuationToken: token,
          }),
          options,
        ),
      );
      const isEncoded = page.EncodingType === 'url';
      for (const { Key: key = '', Size: sizeBytes = 0 } of page.Contents ?? []) {
        yield { key: isEncoded ? decodeListedKey(key) : key, sizeBytes };
      }
      if (!page.IsTruncated) return;
      token = page.NextContinuationToken;
      assertInvariant(token !== undefined, 's3-list', 'a truncated page has a token for the next one');
    }
  }

  async delete(key: string, signal?: AbortSignal): Promise<void> {
    checkObjectKey(key);
    try {
      await this.#calls.run({ key, signal }, (client, options) =>
        client.send(new DeleteObjectCommand({ Bucket: this.#calls.bucket, Key: key }), options),
      );
    } catch (error) {
      // Some stores answer 404 where AWS answers 204.
      if (!(error instanceof MiniodbError && error.code === 'object_not_found')) throw error;
    }
  }

  async close(): Promise<void> {
    this.#client.destroy();
  }

  #putCommand(
    key: string,
    body: Uint8Array | Readable,
    sizeBytes: number,
    options: PutOptions,
  ): PutObjectCommand {
    const { sha256, contentType = CONTENT_TYPE } = options;
    const command = new PutObjectCommand({
      Bucket: this.#calls.bucket,
      Key: key,
      Body: body,
      ContentLength: sizeBytes,
      ContentType: contentType,
      ChecksumSHA256: base64OfHex(sha256),
      Metadata: { [SHA256_METADATA]: sha256 },
    });
    return signBody(command, sha256);
  }

  async #getBytes(
    key: string,
    range: ByteRange | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Uint8Array> {
    // S3 has no name for an empty range, and refuses one that begins at or after the end.
    if (range?.lengthBytes === 0) return this.#nothingOf(key, signal);
    const bytesHeader = range && `bytes=${range.offset}-${range.offset + range.lengthBytes - 1}`;
    try {
      return await this.#calls.run({ key, signal }, async (client, options) => {
        const answer = await client.send(
          new GetObjectCommand({ Bucket: this.#calls.bucket, Key: key, Range: bytesHeader }),
          options,
        );
        const body = bodyOf(answer);
        try {
          checkGetSize(key, answer.ContentLength ?? 0);
          return Buffer.concat(await body.toArray(signal === undefined ? {} : { signal }));
        } finally {
          body.destroy();
        }
      });
    } catch (error) {
      if (error instanceof MiniodbError && error.code === 'range_after_end')
        return this.#nothingOf(key, signal);
      throw error;
    }
  }

  async #nothingOf(key: string, signal: AbortSignal | undefined): Promise<Uint8Array> {
    if ((await this.head(key, signal)) === undefined) throw objectNotFound(key);
    return new Uint8Array();
  }

  async #createBucket(signal: AbortSignal | undefined): Promise<void> {
    const { bucket, endpoint, region } = this.#options;
    const input: CreateBucketCommandInput = { Bucket: bucket };
    // AWS wants every region named but its first one.
    if (endpoint === undefined && region !== 'us-east-1') {
      input.CreateBucketConfiguration = { LocationConstraint: region as BucketLocationConstraint };
    }
    await this.#calls.run({ signal }, async (client, options) => {
      try {
        await client.send(new CreateBucketCommand(input), options);
      } catch (error) {
        // Another process was faster.
        if (!(error instanceof Error && error.name === 'BucketAlreadyOwnedByYou')) throw error;
      }
    });
  }
}
