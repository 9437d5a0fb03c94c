/**
 * The port to the object store. Two adapters pass one conformance suite: a directory and S3.
 *
 * Keys are `/`-separated, already encoded (ids go through table/key-codec.ts), at most 1,024 bytes, without a
 * leading slash, a control character, or segments that are empty, `.`, `..` or longer than 255 bytes; the first is not
 * `.miniodb`. Anything else is `invalid_argument` / `bad_object_key`. A directory cannot hold a key that is also the
 * folder of other keys: `failed_precondition` / `object_key_conflict`.
 * Errors: `not_found` / `object_not_found`; `unavailable` / `object_store_unavailable` after the adapter's own
 * retries; `data_corrupted` / `checksum_mismatch`; `cancelled` / `cancelled` when the signal fires;
 * `permission_denied` / `object_store_denied`; `resource_exhausted` / `object_store_full`; `failed_precondition` /
 * `bucket_missing`. Trouble with the caller's own file is `internal` / `local_file_failed` or `resource_exhausted` /
 * `local_disk_full`.
 */
export interface ObjectStore {
  /** Where it is, without credentials, for logs: `file:///data/olap-data` or `s3://bucket at http://host:9000`. */
  readonly location: string;

  /** Fails unless the bucket exists and answers; creates a directory store's folder. */
  ensureReady(signal?: AbortSignal): Promise<void>;

  /**
   * Stores a whole object from memory, durably before it resolves (the directory store fsyncs file and folder).
   * An existing object of that key is replaced. `sha256` (hex, 64 characters) is verified end to end.
   */
  put(key: string, body: Uint8Array, options: PutOptions): Promise<void>;

  /** As put, from a local file, without holding it in memory. */
  putFile(key: string, path: string, options: PutOptions): Promise<void>;

  /**
   * The object's bytes, whole or a range of them. For small objects: more than GET_BYTES_MAX of byte-range.ts is
   * `invalid_argument` / `object_too_large`.
   */
  get(key: string, options?: GetOptions): Promise<Uint8Array>;

  /**
   * Streams an object into a local file (created or truncated; removed again on failure), verifying `sha256`
   * when it is given. Resolves to the number of bytes.
   */
  getFile(key: string, path: string, options?: { sha256?: string; signal?: AbortSignal }): Promise<number>;

  /**
   * Size and SHA-256; undefined when there is no such object. On S3 the hash is the one kept when it was put, undefined
   * for objects that others put there; a directory store hashes the bytes that are there, which costs reading them.
   */
  head(key: string, signal?: AbortSignal): Promise<ObjectHead | undefined>;

  /** Every object below a prefix, in key order, page by page. Never on a query's path. */
  list(prefix: string, signal?: AbortSignal): AsyncIterable<ObjectSummary>;

  /** Deletes an object; one that does not exist is fine. */
  delete(key: string, signal?: AbortSignal): Promise<void>;

  close(): Promise<void>;
}

export interface PutOptions {
  /** Hex SHA-256 of the whole body. */
  readonly sha256: string;
  readonly contentType?: string;
  readonly signal?: AbortSignal;
}

export interface GetOptions {
  /** First byte and number of bytes. A range past the end is cut to what is there. */
  readonly range?: { readonly offset: number; readonly lengthBytes: number };
  /** Hex SHA-256 that the answered bytes must have. */
  readonly sha256?: string;
  readonly signal?: AbortSignal;
}

export interface ObjectHead {
  readonly sizeBytes: number;
  readonly sha256: string | undefined;
}

export interface ObjectSummary {
  readonly key: string;
  readonly sizeBytes: number;
}
