import assert from 'node:assert/strict';
import type { IncomingHttpHeaders } from 'node:http2';
import { test } from 'node:test';
import { Metadata, status } from '@grpc/grpc-js';
import { ERROR_TABLE } from '@miniodb/core/runtime/error-table.ts';
import { type ErrorFields, type ErrorKind, MiniodbError } from '@miniodb/core/runtime/errors.ts';
import fc from 'fast-check';
import { ErrorInfo } from './gen/google/rpc/error_details.ts';
import { Status } from './gen/google/rpc/status.ts';
import { errorToStatus, statusToError } from './status.ts';

const KINDS = Object.keys(ERROR_TABLE) as ErrorKind[];
const SENT_WRITE = { repeatable: false, abandoned: false };

/** As a client has it: what errorToStatus made, after a way through headers. */
function received(sent: { code: number; details: string; metadata: Metadata }): Error {
  const metadata = Metadata.fromHttp2Headers(sent.metadata.toHttp2Headers() as IncomingHttpHeaders);
  const details = decodeURI(encodeURI(sent.details));
  return Object.assign(new Error(`${sent.code} ${details}`), { code: sent.code, details, metadata });
}

function transport(code: number, details: string): Error {
  return received({ code, details, metadata: new Metadata() });
}

function roundTrip(error: MiniodbError): MiniodbError {
  return statusToError(received(errorToStatus(error)), SENT_WRITE);
}

for (const kind of KINDS) {
  test(`a client gets ${kind} as the server threw it`, () => {
    const code = kind === 'outcome_unknown' ? 'outcome_unknown' : 'some_code';
    const fields: ErrorFields = { code, retryAfterMs: 1_234, details: { lines: [1, 2], table: 'größe' } };
    const error = roundTrip(new MiniodbError(kind, 'größe: 100% "x"\n2', fields));
    assert.deepEqual(
      [error.kind, error.code, error.message, error.retryAfterMs, error.details],
      [kind, code, 'größe: 100% "x"\n2', 1_234, fields.details],
    );
  });
}

test('an unknown outcome says so to clients that only know google.rpc', () => {
  const sent = errorToStatus(new MiniodbError('outcome_unknown', 'lost', { code: 'enqueue_lost' }));
  assert.equal(sent.code, status.UNAVAILABLE);
  const [any] = Status.decode(sent.metadata.get('grpc-status-details-bin')[0] as Buffer).details;
  assert.equal(ErrorInfo.decode(any!.value).reason, 'outcome_unknown');
});

test('whatever an error says, its trailers fit and can be sent', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary', maxLength: 3000 }),
      fc.dictionary(fc.string(), fc.string({ unit: 'binary', maxLength: 3000 }), { maxKeys: 2 }),
      fc.boolean(),
      (message, details, lone) => {
        const text = lone ? `${message}\ud800` : message;
        const sent = errorToStatus(new MiniodbError('invalid_argument', text, { code: 'c', details }));
        const bytes = sent.metadata.get('grpc-status-details-bin')[0] as Buffer;
        const size = encodeURI(sent.details).length + bytes.toString('base64').length;
        assert.ok(size < 7_600, `${size} bytes of trailers`);
        assert.ok(text.toWellFormed().startsWith(sent.details.replace(/…$/, '')));
      },
    ),
  );
  const longest = errorToStatus(new MiniodbError('invalid_argument', '漢'.repeat(5000), { code: 'c' }));
  assert.ok(Buffer.byteLength(longest.details) <= 1000 && longest.details.endsWith('漢…'));
});

test('what was never sent is refused, what broke later is unknown for writes and unavailable for reads', () => {
  const connecting = transport(status.UNAVAILABLE, 'No connection established. Last error: ECONNREFUSED');
  assert.equal(statusToError(connecting, SENT_WRITE).kind, 'unavailable');
  for (const code of [status.UNAVAILABLE, status.CANCELLED, status.INTERNAL, status.UNKNOWN]) {
    const broken = transport(code, 'Connection dropped');
    assert.equal(statusToError(broken, SENT_WRITE).kind, 'outcome_unknown');
    assert.equal(statusToError(broken, { repeatable: true, abandoned: false }).kind, 'unavailable');
  }
  const own = transport(status.CANCELLED, 'Cancelled on client');
  assert.equal(statusToError(own, { repeatable: false, abandoned: true }).kind, 'cancelled');
});

for (const text of [
  'Received message larger than max (9 vs 8)',
  'Sent message larger than max (9 vs. 8)',
  'Attempted to send message with a size larger than 8',
]) {
  test(`"${text}" is the request’s fault and not to be sent again`, () => {
    const error = statusToError(transport(status.RESOURCE_EXHAUSTED, text), SENT_WRITE);
    assert.deepEqual([error.kind, error.code], ['invalid_argument', 'message_too_large']);
  });
}

test('details of somebody else leave the status as it is', () => {
  const sent = errorToStatus(new MiniodbError('not_found', 'x', { code: 'y' }));
  sent.metadata.set('grpc-status-details-bin', Buffer.from([0xff, 0xff]));
  assert.deepEqual(
    [statusToError(received(sent), SENT_WRITE).kind, statusToError(received(sent), SENT_WRITE).code],
    ['not_found', 'not_found'],
  );
});
