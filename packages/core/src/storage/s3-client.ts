import { Readable } from 'node:stream';
import { type GetObjectCommandOutput, S3Client } from '@aws-sdk/client-s3';
import { assertInvariant } from '../runtime/errors.ts';
import type { S3Limits, S3StoreOptions } from './s3.ts';

/** The client would write its warnings to the console; what they are about reaches us as errors. */
const SILENT = { trace() {}, debug() {}, info() {}, warn() {}, error() {} };

/** The client of one bucket's store, with our retries, timeouts and checksums instead of its own. */
export function connectS3(options: S3StoreOptions, limits: S3Limits): S3Client {
  const agent = { keepAlive: true, maxSockets: limits.connectionsMax };
  return new S3Client({
    region: options.region,
    forcePathStyle: options.pathStyle,
    maxAttempts: 1,
    logger: SILENT,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      logger: SILENT,
      connectionTimeout: limits.connectTimeoutMs,
      socketTimeout: limits.idleTimeoutMs,
      httpAgent: agent,
      httpsAgent: agent,
    },
    ...(options.endpoint !== undefined && { endpoint: options.endpoint }),
    ...(options.credentials !== undefined && { credentials: options.credentials }),
  });
}

/** The stream of an object's bytes; on Node it is always a Readable. */
export function bodyOf(answer: GetObjectCommandOutput): Readable {
  assertInvariant(answer.Body instanceof Readable, 's3-body', 'an answered object has a readable body');
  return answer.Body;
}

/** S3 writes listed keys like a form: `+` for a space, which as a character is `%2B`. */
export function decodeListedKey(key: string): string {
  return decodeURIComponent(key.replaceAll('+', ' '));
}
