import { type ErrorKind, MiniodbError } from '@miniodb/core/runtime/errors.ts';

/** Of an answer that is not ours, in a message. */
const FOREIGN_CHARS_MAX = 200;
const RETRY_AFTER_SECONDS_MAX = 3_600;

/** With these nothing has reached the other side. */
const NEVER_SENT: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
]);

/** Why no answer came, from what fetch threw. @param changes whether the request would have changed something */
export function noAnswer(url: string, error: unknown, changes: boolean, timeoutMs: number): MiniodbError {
  if (error instanceof Error && error.name === 'TimeoutError') {
    const message = `no answer from ${url} in ${timeoutMs / 1000} s (--timeout)`;
    if (changes) return outcomeUnknown(message, error);
    return new MiniodbError('deadline_exceeded', message, { code: 'no_answer_in_time', cause: error });
  }
  const { code, message: reason } = causeOf(error);
  if (changes && !NEVER_SENT.has(code)) return outcomeUnknown(`no answer from ${url}: ${reason}`, error);
  const message = `nobody answers at ${url} (${reason}). Is a gateway running there? Another address: --url or MINIODB_URL; a cluster on this machine: miniodb dev`;
  return new MiniodbError('unavailable', message, { code: 'gateway_unreachable', cause: error });
}

function outcomeUnknown(message: string, cause: unknown): MiniodbError {
  return new MiniodbError(
    'outcome_unknown',
    `${message}; it may have been done or not: look before you repeat it`,
    {
      code: 'outcome_unknown',
      cause,
    },
  );
}

/** fetch says `fetch failed` and hides the reason in its cause. */
function causeOf(error: unknown): { readonly code: string; readonly message: string } {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const code = (cause as { code?: unknown } | undefined)?.code;
  // An AggregateError of several addresses has a code and no message.
  const message = cause instanceof Error && cause.message !== '' ? cause.message : String(code ?? 'unknown');
  return { code: typeof code === 'string' ? code : '', message };
}

/** A refusal, as the gateway or whatever stands before it said it. `details.problem` is the gateway's own document. */
export function refusal(status: number, retryAfter: string | null, text: string): MiniodbError {
  const problem = problemOf(text);
  const code = typeof problem?.code === 'string' ? problem.code : `http_${status}`;
  const said =
    typeof problem?.message === 'string'
      ? problem.message
      : text.slice(0, FOREIGN_CHARS_MAX).replace(/\s+/g, ' ').trim();
  const seconds = retrySeconds(retryAfter);
  return new MiniodbError(kindOf(status, code), `${said || 'no reason given'}${hint(status, seconds)}`, {
    code,
    ...(seconds === undefined ? {} : { retryAfterMs: seconds * 1_000 }),
    ...(problem === undefined ? {} : { details: { problem } }),
  });
}

function problemOf(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    // Whatever stands between us and the gateway answered; its words are shown as they are.
    return undefined;
  }
}

function hint(status: number, retrySecondsGiven: number | undefined): string {
  if (status === 401) return '. Give a token: MINIODB_TOKEN, --token-file or --token';
  if (status >= 300 && status < 400)
    return '; redirects are not followed: give the address itself with --url';
  if (retrySecondsGiven !== undefined) return `. Try again in ${retrySecondsGiven} s`;
  return '';
}

function retrySeconds(header: string | null): number | undefined {
  const seconds = Number(header);
  return header !== null && /^\d+$/.test(header) && seconds <= RETRY_AFTER_SECONDS_MAX ? seconds : undefined;
}

function kindOf(status: number, code: string): ErrorKind {
  // 503 too, and the opposite of it for who wants to try again.
  if (code === 'outcome_unknown') return 'outcome_unknown';
  switch (status) {
    case 401:
      return 'unauthenticated';
    case 403:
      return 'permission_denied';
    case 404:
      return 'not_found';
    case 409:
      return 'failed_precondition';
    case 429:
      return 'resource_exhausted';
    case 501:
      return 'unimplemented';
    case 502:
    case 503:
      return 'unavailable';
    case 504:
      return 'deadline_exceeded';
    default:
      return status < 500 ? 'invalid_argument' : 'internal';
  }
}
