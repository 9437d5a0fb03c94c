import { isAbsolute } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MiniodbError } from '../runtime/errors.ts';
import { DirectoryObjectStore } from './directory.ts';
import type { ObjectStore } from './object-store.ts';
import { type S3Credentials, type S3Limits, S3ObjectStore, type S3StoreOptions } from './s3.ts';

export interface OpenStoreOptions {
  /** For S3 only. Never part of the URL, which is logged. Absent: the S3 client's own chain. */
  readonly credentials?: S3Credentials;
  /** Whether ensureReady makes a missing bucket; a directory is always made. */
  readonly createBucket?: boolean;
  readonly s3Limits?: Partial<S3Limits>;
}

/**
 * The object store at a URL; nothing is connected yet. Anything else than these two forms is `invalid_argument` /
 * `bad_object_store_url`:
 *
 *   file:///absolute/path
 *   s3://bucket?endpoint=http://127.0.0.1:9000&region=us-east-1&path_style=true
 *
 * `region` defaults to us-east-1, which is what MinIO calls itself. `path_style` defaults to true with an endpoint
 * and to false on AWS, where `endpoint` is absent.
 */
export function openObjectStore(url: string, options: OpenStoreOptions = {}): ObjectStore {
  const parsed = URL.parse(url);
  if (parsed === null) throw badUrl('it is not a URL such as file:///path or s3://bucket?endpoint=…');
  if (parsed.username !== '' || parsed.password !== '') throw badUrl('credentials do not belong into it');
  if (parsed.hash !== '') throw badUrl('it has a fragment');
  switch (parsed.protocol) {
    case 'file:':
      return new DirectoryObjectStore(directoryOf(parsed));
    case 's3:':
      return new S3ObjectStore({ ...bucketOf(parsed), ...s3OptionsOf(options) });
    default:
      throw badUrl(`its scheme is ${parsed.protocol} and neither file: nor s3:`);
  }
}

function s3OptionsOf(options: OpenStoreOptions): Partial<S3StoreOptions> {
  const { credentials, createBucket, s3Limits } = options;
  return {
    ...(credentials !== undefined && { credentials }),
    ...(createBucket !== undefined && { createBucket }),
    ...(s3Limits !== undefined && { limits: s3Limits }),
  };
}

function directoryOf(url: URL): string {
  if (url.search !== '') throw badUrl('a file: URL has no parameters');
  if (url.host !== '') throw badUrl('a file: URL has three slashes and an absolute path');
  let path: string;
  try {
    path = fileURLToPath(url);
  } catch (error) {
    throw badUrl('its path cannot be decoded', error);
  }
  if (!isAbsolute(path) || path === '/') throw badUrl('it needs a folder of its own');
  return path;
}

const PARAMETERS: ReadonlySet<string> = new Set(['endpoint', 'region', 'path_style']);

function bucketOf(url: URL): Pick<S3StoreOptions, 'bucket' | 'region' | 'endpoint' | 'pathStyle'> {
  const bucket = url.hostname;
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket)) {
    throw badUrl('a bucket has 3 to 63 characters, which are a-z, 0-9, dot and hyphen');
  }
  if (url.port !== '') throw badUrl('the port belongs to the endpoint');
  if (url.pathname !== '' && url.pathname !== '/')
    throw badUrl('it names a path, but a store is a whole bucket');
  for (const name of url.searchParams.keys()) {
    if (!PARAMETERS.has(name)) throw badUrl(`it has the unknown parameter ${JSON.stringify(name)}`);
    if (url.searchParams.getAll(name).length > 1) throw badUrl(`it has ${name} more than once`);
  }
  const endpoint = endpointOf(url.searchParams.get('endpoint'));
  const region = url.searchParams.get('region') ?? 'us-east-1';
  if (!/^[a-z0-9-]{1,64}$/.test(region)) throw badUrl('its region is not a region');
  const pathStyle = pathStyleOf(url.searchParams.get('path_style')) ?? endpoint !== undefined;
  return { bucket, region, pathStyle, ...(endpoint !== undefined && { endpoint }) };
}

/** The endpoint's origin, without a trailing slash. */
function endpointOf(text: string | null): string | undefined {
  if (text === null) return undefined;
  const endpoint = URL.parse(text);
  if (endpoint === null || (endpoint.protocol !== 'http:' && endpoint.protocol !== 'https:')) {
    throw badUrl('its endpoint is no http: or https: URL');
  }
  if (endpoint.username !== '' || endpoint.password !== '') {
    throw badUrl('credentials do not belong into its endpoint');
  }
  if (endpoint.pathname !== '/' || endpoint.search !== '' || endpoint.hash !== '') {
    throw badUrl('its endpoint is more than scheme, host and port');
  }
  return endpoint.origin;
}

function pathStyleOf(text: string | null): boolean | undefined {
  if (text === null) return undefined;
  if (text !== 'true' && text !== 'false') throw badUrl('its path_style is neither true nor false');
  return text === 'true';
}

/** Without the URL itself: somebody may have put a secret into it. */
function badUrl(flaw: string, cause?: unknown): MiniodbError {
  return new MiniodbError('invalid_argument', `bad object store URL: ${flaw}`, {
    code: 'bad_object_store_url',
    cause,
  });
}
