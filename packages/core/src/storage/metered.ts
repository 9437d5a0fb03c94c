import { stat } from 'node:fs/promises';
import { asMiniodbError } from '../runtime/errors.ts';
import type { GetOptions, ObjectHead, ObjectStore, ObjectSummary, PutOptions } from './object-store.ts';

export type StoreOperation = 'put' | 'put_file' | 'get' | 'get_file' | 'head' | 'list' | 'delete';

/** Told of every call of a store when it has ended. */
export interface StoreMeter {
  /** @param bytes of the body, either way; 0 where there is none. @param code of the error, undefined: success */
  called(operation: StoreOperation, seconds: number, bytes: number, code: string | undefined): void;
}

/** An object store whose calls are counted. A call counts once, with all its attempts and pages. */
export class MeteredObjectStore implements ObjectStore {
  readonly #inner: ObjectStore;
  readonly #meter: StoreMeter;

  constructor(inner: ObjectStore, meter: StoreMeter) {
    this.#inner = inner;
    this.#meter = meter;
  }

  get location(): string {
    return this.#inner.location;
  }

  ensureReady(signal?: AbortSignal): Promise<void> {
    return this.#inner.ensureReady(signal);
  }

  put(key: string, body: Uint8Array, options: PutOptions): Promise<void> {
    return this.#timed(
      'put',
      () => this.#inner.put(key, body, options),
      () => body.length,
    );
  }

  async putFile(key: string, path: string, options: PutOptions): Promise<void> {
    const put = async () => {
      await this.#inner.putFile(key, path, options);
      // The object is stored, whatever has become of the file meanwhile.
      return (await stat(path).catch(() => undefined))?.size ?? 0;
    };
    await this.#timed('put_file', put, (bytes) => bytes);
  }

  get(key: string, options?: GetOptions): Promise<Uint8Array> {
    return this.#timed(
      'get',
      () => this.#inner.get(key, options),
      (bytes) => bytes.length,
    );
  }

  getFile(key: string, path: string, options?: { sha256?: string; signal?: AbortSignal }): Promise<number> {
    return this.#timed(
      'get_file',
      () => this.#inner.getFile(key, path, options),
      (bytes) => bytes,
    );
  }

  head(key: string, signal?: AbortSignal): Promise<ObjectHead | undefined> {
    return this.#timed('head', () => this.#inner.head(key, signal), nothing);
  }

  async *list(prefix: string, signal?: AbortSignal): AsyncGenerator<ObjectSummary> {
    const started = performance.now();
    let code: string | undefined;
    try {
      yield* this.#inner.list(prefix, signal);
    } catch (error) {
      code = asMiniodbError(error).code;
      throw error;
    } finally {
      this.#meter.called('list', secondsSince(started), 0, code);
    }
  }

  delete(key: string, signal?: AbortSignal): Promise<void> {
    return this.#timed('delete', () => this.#inner.delete(key, signal), nothing);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  async #timed<Result>(
    operation: StoreOperation,
    call: () => Promise<Result>,
    bytesOf: (result: Result) => number,
  ): Promise<Result> {
    const started = performance.now();
    let result: Result;
    try {
      result = await call();
    } catch (error) {
      this.#meter.called(operation, secondsSince(started), 0, asMiniodbError(error).code);
      throw error;
    }
    this.#meter.called(operation, secondsSince(started), bytesOf(result), undefined);
    return result;
  }
}

function secondsSince(startedMs: number): number {
  return (performance.now() - startedMs) / 1_000;
}

function nothing(): number {
  return 0;
}
