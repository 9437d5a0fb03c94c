import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { checkSignature } from './s3-server-signature.ts';
import { S3Failure, S3ServerStore, type SentHashes, type Stored } from './s3-server-store.ts';

export interface S3Server {
  /** For openObjectStore; its bucket exists. */
  readonly url: string;
  readonly endpoint: string;
  readonly bucket: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  readonly store: S3ServerStore;
  stop(): Promise<void>;
}

const CREDENTIALS = { accessKeyId: 'test-access-key', secretAccessKey: 'test-secret-key' };

/**
 * An S3 server in this process: on a free port of the loopback, path style, with a directory of its own, and with
 * the calls that the S3 adapter makes. It keeps what S3 promises and the adapter relies on: signatures and hashes
 * are checked, objects appear whole, lists are in key order.
 *
 * Ours because the fork of s3rver (@20minutes/s3rver 5.0.0) does not: it writes into the visible object,
 * checks no hash, lists in the file system's order, fails at the second page of a list on Node 24 (it encrypts its
 * tokens with DES, which OpenSSL 3 lacks), cannot abort an upload, and rejects the current client's signatures of
 * calls on the bucket.
 */
export async function startS3Server(bucket = 'olap-data'): Promise<S3Server> {
  const directory = await mkdtemp(join(tmpdir(), 'miniodb-s3-'));
  const store = new S3ServerStore(directory);
  store.makeBucket(bucket);
  const server = createServer((request, response) => {
    answer(store, request, response).catch((error: unknown) => fail(response, error));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url: `s3://${bucket}?endpoint=${endpoint}&region=us-east-1&path_style=true`,
    endpoint,
    bucket,
    credentials: CREDENTIALS,
    store,
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
      await rm(directory, { recursive: true, force: true });
    },
  };
}

interface Call {
  readonly store: S3ServerStore;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly bucket: string;
  readonly key: string;
  readonly query: URLSearchParams;
}

async function answer(
  store: S3ServerStore,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  checkSignature(request, CREDENTIALS);
  const url = new URL(request.url!, 'http://server');
  const [, bucket = '', ...segments] = url.pathname.split('/').map(decodeURIComponent);
  const call: Call = { store, request, response, bucket, key: segments.join('/'), query: url.searchParams };
  const handler = call.key === '' ? BUCKET_CALLS[request.method!] : objectCall(call);
  if (handler === undefined) throw new S3Failure(501, 'NotImplemented');
  await handler(call);
}

type Handler = (call: Call) => void | Promise<void>;

const BUCKET_CALLS: Readonly<Record<string, Handler>> = {
  HEAD({ store, bucket, response }) {
    store.objects(bucket);
    response.end();
  },
  PUT({ store, bucket, response }) {
    store.makeBucket(bucket);
    response.end();
  },
  GET: listObjects,
};

function objectCall({ request, query }: Call): Handler | undefined {
  const isUpload = query.has('uploadId');
  switch (request.method) {
    case 'HEAD':
    case 'GET':
      return getObject;
    case 'PUT':
      return isUpload ? putPart : putObject;
    case 'POST':
      return isUpload ? completeUpload : beginUpload;
    case 'DELETE':
      return isUpload ? abortUpload : deleteObject;
    default:
      return undefined;
  }
}

function listObjects({ store, bucket, query, response }: Call): void {
  const token = Buffer.from(query.get('continuation-token') ?? '', 'base64url').toString();
  const countMax = Math.min(1000, Number(query.get('max-keys') ?? 1000));
  const { keys, isTruncated } = store.list(bucket, query.get('prefix') ?? '', token, countMax);
  const isEncoded = query.get('encoding-type') === 'url';
  const contents = keys.map((key) => {
    const shown = isEncoded ? encodeURIComponent(key).replaceAll('%20', '+') : xmlText(key);
    return `<Contents><Key>${shown}</Key><Size>${store.object(bucket, key).sizeBytes}</Size></Contents>`;
  });
  const next = isTruncated ? Buffer.from(keys.at(-1)!).toString('base64url') : '';
  sendXml(
    response,
    `<ListBucketResult><IsTruncated>${isTruncated}</IsTruncated>${isEncoded ? '<EncodingType>url</EncodingType>' : ''}` +
      `${next && `<NextContinuationToken>${next}</NextContinuationToken>`}${contents.join('')}</ListBucketResult>`,
  );
}

async function getObject({ store, bucket, key, request, response }: Call): Promise<void> {
  const { path, sizeBytes, md5, headers } = store.object(bucket, key);
  const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
  const start = Number(range?.[1] ?? 0);
  const end = Math.min(Number(range?.[2] ?? sizeBytes), sizeBytes - 1);
  if (range !== null && start > end) throw new S3Failure(416, 'InvalidRange');
  response.writeHead(range === null ? 200 : 206, {
    ...headers,
    etag: `"${md5}"`,
    'content-length': end - start + 1,
    ...(range !== null && { 'content-range': `bytes ${start}-${end}/${sizeBytes}` }),
  });
  if (request.method === 'HEAD' || sizeBytes === 0) response.end();
  else await pipeline(createReadStream(path, { start, end }), response);
}

async function putObject({ store, bucket, key, request, response }: Call): Promise<void> {
  const stored = await store.put(bucket, key, request, keptHeaders(request), sentHashes(request));
  sendStored(response, stored);
}

function deleteObject({ store, bucket, key, response }: Call): void {
  store.objects(bucket).delete(key);
  response.writeHead(204).end();
}

function beginUpload({ store, bucket, key, request, response }: Call): void {
  const id = store.beginUpload(bucket, key, keptHeaders(request));
  sendXml(
    response,
    `<InitiateMultipartUploadResult><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`,
  );
}

async function putPart({ store, query, request, response }: Call): Promise<void> {
  const part = Number(query.get('partNumber'));
  sendStored(response, await store.putPart(query.get('uploadId')!, part, request, sentHashes(request)));
}

async function completeUpload({ store, query, request, response }: Call): Promise<void> {
  const xml = await text(request);
  const parts = [...xml.matchAll(/<Part>(.*?)<\/Part>/gs)].map(([, part = '']) => ({
    part: Number(/<PartNumber>(\d+)</.exec(part)?.[1]),
    md5: /<ETag>(?:"|&quot;)?([0-9a-f]{32})/.exec(part)?.[1] ?? '',
  }));
  const { md5 } = await store.completeUpload(query.get('uploadId')!, parts);
  sendXml(response, `<CompleteMultipartUploadResult><ETag>${md5}</ETag></CompleteMultipartUploadResult>`);
}

function abortUpload({ store, query, response }: Call): void {
  store.abortUpload(query.get('uploadId')!);
  response.writeHead(204).end();
}

function keptHeaders({ headers }: IncomingMessage): Stored['headers'] {
  const kept = Object.entries(headers).filter(
    ([name]) => name === 'content-type' || name.startsWith('x-amz-meta-'),
  );
  return Object.fromEntries(kept.map(([name, value]) => [name, String(value)]));
}

function sentHashes({ headers }: IncomingMessage): SentHashes {
  const signed = String(headers['x-amz-content-sha256'] ?? '');
  const checksum = headers['x-amz-checksum-sha256'];
  return {
    signedSha256: /^[0-9a-f]{64}$/.test(signed) ? signed : undefined,
    checksumSha256:
      checksum === undefined ? undefined : Buffer.from(String(checksum), 'base64').toString('hex'),
  };
}

function sendStored(response: ServerResponse, { md5 }: Stored): void {
  response.writeHead(200, { etag: `"${md5}"` }).end();
}

function sendXml(response: ServerResponse, xml: string): void {
  response.writeHead(200, { 'content-type': 'application/xml' }).end(xml);
}

function xmlText(value: string): string {
  return value.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

/** The body of a refused request is not read to its end: the connection closes with the answer. */
function fail(response: ServerResponse, error: unknown): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const { status, code } = error instanceof S3Failure ? error : { status: 500, code: 'InternalError' };
  response.writeHead(status, { 'content-type': 'application/xml', connection: 'close' });
  response.end(
    `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`,
  );
}
