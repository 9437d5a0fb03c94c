import type { S3Client } from '@aws-sdk/client-s3';
import { type RetryPolicy, retrying } from './retry.ts';
import { classifyS3Error, type S3Subject } from './s3-errors.ts';
import { Slots } from './slots.ts';

/** Passed on to the client's `send`. */
export interface CallOptions {
  readonly abortSignal?: AbortSignal;
}

type Subject = Pick<S3Subject, 'key' | 'signal'>;

/**
 * The one way to S3: every call is classified, retried and bounded here. The client's own retries are off, because
 * they cannot send a stream again and end before an answer's body has been read.
 */
export class S3Calls {
  readonly bucket: string;
  readonly location: string;
  readonly #client: S3Client;
  readonly #retry: RetryPolicy;
  readonly #slots: Slots;

  /** @param connectionsMax calls under way at once; more wait here, where no connect timeout runs */
  constructor(
    client: S3Client,
    target: { readonly bucket: string; readonly location: string },
    limits: { readonly retry: RetryPolicy; readonly connectionsMax: number },
  ) {
    this.#client = client;
    this.bucket = target.bucket;
    this.location = target.location;
    this.#retry = limits.retry;
    this.#slots = new Slots(limits.connectionsMax);
  }

  /** @param call one attempt, with all that it reads of the answer's body; must be safe to repeat */
  async run<Result>(
    subject: Subject,
    call: (client: S3Client, options: CallOptions) => Promise<Result>,
  ): Promise<Result> {
    const { signal } = subject;
    const options: CallOptions = signal === undefined ? {} : { abortSignal: signal };
    return retrying(this.#retry, signal, () =>
      this.#slots.use(signal, async () => {
        try {
          return await call(this.#client, options);
        } catch (error) {
          throw classifyS3Error(error, { ...subject, location: this.location });
        }
      }),
    );
  }
}

interface WithMiddleware {
  readonly middlewareStack: {
    add(
      middleware: <Args extends { request: unknown }, Output>(
        next: (args: Args) => Promise<Output>,
      ) => (args: Args) => Promise<Output>,
      options: { step: 'build'; name: string },
    ): void;
  };
}

/**
 * Makes the known SHA-256 of a body part of the request's signature, in the header that every S3 store checks, old
 * ones without `x-amz-checksum-…` too. It also keeps the client from hashing the body once more, and from leaving
 * a stream unsigned.
 */
export function signBody<Command extends WithMiddleware>(command: Command, sha256: string): Command {
  command.middlewareStack.add(
    (next) => (args) => {
      const request = args.request as { headers: Record<string, string> };
      request.headers['x-amz-content-sha256'] = sha256;
      return next(args);
    },
    { step: 'build', name: 'signKnownSha256' },
  );
  return command;
}

/** A hex hash as S3's checksum headers want it. */
export function base64OfHex(hex: string): string {
  return Buffer.from(hex, 'hex').toString('base64');
}
