import { createHash, createHmac } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { S3Failure } from './s3-server-store.ts';

const AUTHORIZATION =
  /^AWS4-HMAC-SHA256 Credential=(?<id>[^/]+)\/(?<scope>[^,]+), SignedHeaders=(?<names>[^,]+), Signature=(?<signature>[0-9a-f]{64})$/;

/** Checks AWS's signature version 4 in a request's Authorization header. Errors: S3's own 403 answers. */
export function checkSignature(
  request: IncomingMessage,
  credentials: { readonly accessKeyId: string; readonly secretAccessKey: string },
): void {
  const parts = AUTHORIZATION.exec(request.headers.authorization ?? '')?.groups;
  if (parts === undefined) throw new S3Failure(403, 'AccessDenied');
  if (parts.id !== credentials.accessKeyId) throw new S3Failure(403, 'InvalidAccessKeyId');
  const scope = parts.scope!;
  const names = parts.names!;
  const url = new URL(request.url!, 'http://server');
  const canonical = [
    request.method,
    url.pathname,
    url.search.slice(1).split('&').sort().map(withEquals).join('&'),
    ...names.split(';').map((name) => `${name}:${String(request.headers[name] ?? '').trim()}`),
    '',
    names,
    request.headers['x-amz-content-sha256'],
  ].join('\n');
  const toSign = [
    'AWS4-HMAC-SHA256',
    request.headers['x-amz-date'],
    scope,
    createHash('sha256').update(canonical).digest('hex'),
  ].join('\n');
  const key = scope.split('/').reduce<Buffer | string>(hmac, `AWS4${credentials.secretAccessKey}`);
  if (hmac(key, toSign).toString('hex') !== parts.signature)
    throw new S3Failure(403, 'SignatureDoesNotMatch');
}

function hmac(key: Buffer | string, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

function withEquals(parameter: string): string {
  return parameter === '' || parameter.includes('=') ? parameter : `${parameter}=`;
}
