import { createHash, randomUUID } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

/** An error answer, by the code and status that S3 gives it. */
export class S3Failure extends Error {
  readonly code: string;
  readonly status: number;

  constructor(status: number, code: string) {
    super(code);
    this.status = status;
    this.code = code;
  }
}

export interface Stored {
  readonly path: string;
  readonly sizeBytes: number;
  readonly md5: string;
  /** Response headers: the content type and `x-amz-meta-…`. */
  readonly headers: Readonly<Record<string, string>>;
}

/** What the request says that its body hashes to, in hex; undefined where it says nothing. */
export interface SentHashes {
  readonly signedSha256: string | undefined;
  readonly checksumSha256: string | undefined;
}

interface Upload {
  readonly bucket: string;
  readonly key: string;
  readonly headers: Stored['headers'];
  readonly parts: Map<number, Stored>;
}

/**
 * Buckets in memory, bodies in files of one folder: every body has a file of its own with a random name, which is
 * complete and checked before a map points to it. So objects appear whole or not at all. Replaced and deleted bodies
 * stay until the server stops, because somebody may be reading them.
 */
export class S3ServerStore {
  readonly #dir: string;
  readonly #buckets = new Map<string, Map<string, Stored>>();
  readonly #uploads = new Map<string, Upload>();

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** How many multipart uploads have been begun and neither completed nor aborted. */
  get uploadsOpen(): number {
    return this.#uploads.size;
  }

  makeBucket(bucket: string): void {
    if (this.#buckets.has(bucket)) throw new S3Failure(409, 'BucketAlreadyOwnedByYou');
    this.#buckets.set(bucket, new Map());
  }

  /** The bucket's objects by key. */
  objects(bucket: string): Map<string, Stored> {
    const objects = this.#buckets.get(bucket);
    if (objects === undefined) throw new S3Failure(404, 'NoSuchBucket');
    return objects;
  }

  object(bucket: string, key: string): Stored {
    const stored = this.objects(bucket).get(key);
    if (stored === undefined) throw new S3Failure(404, 'NoSuchKey');
    return stored;
  }

  /** The first keys after one, in order of their UTF-8 bytes, and whether there are more. */
  list(
    bucket: string,
    prefix: string,
    after: string,
    countMax: number,
  ): { keys: string[]; isTruncated: boolean } {
    const from = Buffer.from(after);
    const keys = [...this.objects(bucket).keys()]
      .filter((key) => key.startsWith(prefix))
      .map((key) => Buffer.from(key))
      .filter((key) => Buffer.compare(key, from) > 0)
      .sort(Buffer.compare)
      .map(String);
    return { keys: keys.slice(0, countMax), isTruncated: keys.length > countMax };
  }

  async put(
    bucket: string,
    key: string,
    body: Readable,
    headers: Stored['headers'],
    sent: SentHashes,
  ): Promise<Stored> {
    const objects = this.objects(bucket);
    const stored = await this.#keep([body], headers, sent);
    objects.set(key, stored);
    return stored;
  }

  beginUpload(bucket: string, key: string, headers: Stored['headers']): string {
    this.objects(bucket);
    const id = randomUUID();
    this.#uploads.set(id, { bucket, key, headers, parts: new Map() });
    return id;
  }

  async putPart(id: string, part: number, body: Readable, sent: SentHashes): Promise<Stored> {
    const { parts } = this.#upload(id);
    const stored = await this.#keep([body], {}, sent);
    parts.set(part, stored);
    return stored;
  }

  async completeUpload(id: string, parts: readonly { part: number; md5: string }[]): Promise<Stored> {
    const upload = this.#upload(id);
    const bodies = parts.map(({ part, md5 }) => {
      const stored = upload.parts.get(part);
      if (stored === undefined || stored.md5 !== md5) throw new S3Failure(400, 'InvalidPart');
      return createReadStream(stored.path);
    });
    const unchecked = { signedSha256: undefined, checksumSha256: undefined };
    const stored = await this.#keep(bodies, upload.headers, unchecked);
    this.objects(upload.bucket).set(upload.key, stored);
    this.#uploads.delete(id);
    return stored;
  }

  abortUpload(id: string): void {
    this.#upload(id);
    this.#uploads.delete(id);
  }

  #upload(id: string): Upload {
    const upload = this.#uploads.get(id);
    if (upload === undefined) throw new S3Failure(404, 'NoSuchUpload');
    return upload;
  }

  async #keep(bodies: readonly Readable[], headers: Stored['headers'], sent: SentHashes): Promise<Stored> {
    const path = join(this.#dir, randomUUID());
    const sha256 = createHash('sha256');
    const md5 = createHash('md5');
    let sizeBytes = 0;
    async function* measured(): AsyncGenerator<Buffer> {
      for (const body of bodies) {
        for await (const piece of body as AsyncIterable<Buffer>) {
          sha256.update(piece);
          md5.update(piece);
          sizeBytes += piece.length;
          yield piece;
        }
      }
    }
    try {
      await pipeline(measured, createWriteStream(path));
      const digest = sha256.digest('hex');
      if ((sent.signedSha256 ?? digest) !== digest) throw new S3Failure(400, 'XAmzContentSHA256Mismatch');
      if ((sent.checksumSha256 ?? digest) !== digest) throw new S3Failure(400, 'BadDigest');
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    }
    return { path, sizeBytes, md5: md5.digest('hex'), headers };
  }
}
