import { asMiniodbError, MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { decodeStrict } from '@miniodb/proto/decode.ts';
import {
  type BatchRowView,
  LegacyWriteRequestView,
  WriteBatchRequestView,
  WriteRequestView,
} from '@miniodb/proto/gen/miniodb/internal/v1/write_view.ts';
import { Compression } from '@miniodb/proto/gen/olap/v1/olap.ts';
import { decodeStruct } from '@miniodb/proto/struct.ts';
import { decodeUtf8 } from '@miniodb/proto/utf8.ts';
import { type BatchInput, type BatchReceipt, ROW_ERRORS_MAX, type RowError, type RowInput } from '../api.ts';
import { Turns } from '../write/accept-all.ts';
import { LINES_FACTOR, OBJECTS_FACTOR, type Share } from '../write/budget.ts';
import { type ContentEncoding, decompress } from '../write/decompress.ts';
import { parseExactJson } from '../write/exact-json.ts';
import type { SourcedRow } from '../write/payload-text.ts';
import { ackFromWire } from './ack.ts';
import { isLegacyWrite } from './legacy-write.ts';

export interface OneRow {
  readonly table: string;
  readonly row: RowInput;
}

/** The bytes of a WriteRequest, of today or from before tables. Throws `invalid_argument`. */
export function decodeWrite(bytes: Buffer): OneRow {
  if (isLegacyWrite(bytes)) {
    const { id, timestamp, payload } = decodeStrict(LegacyWriteRequestView, bytes);
    return { table: '', row: { id, timestamp, payload: decodeStruct(payload) } };
  }
  const { table, id, timestamp, payload } = decodeStrict(WriteRequestView, bytes);
  if (payload === undefined) throw invalid('invalid_payload', 'payload is missing');
  return { table, row: { id, timestamp, payload: decodeStruct(payload) } };
}

/** A batch, and what became of the rows whose payload cannot be read. */
export interface DecodedBatch {
  readonly input: BatchInput;
  /** Adds the unreadable rows to what the write answered. */
  complete(receipt: BatchReceipt): BatchReceipt;
}

/**
 * The bytes of a WriteBatchRequest. Throws `invalid_argument`, and `unimplemented`/`arrow_ipc_not_supported`.
 * @param textBytesMax of decompressed NDJSON
 * @param share has the message itself; takes what its rows cost
 */
export async function decodeWriteBatch(
  bytes: Buffer,
  textBytesMax: number,
  share: Share,
): Promise<DecodedBatch> {
  const view = decodeStrict(WriteBatchRequestView, bytes);
  const forms = [view.rows, view.ndjson, view.arrow_ipc].filter((form) => form.length > 0);
  if (forms.length > 1) throw invalid('ambiguous_rows', 'set only one of rows, ndjson and arrow_ipc');
  if (view.arrow_ipc.length > 0) {
    throw new MiniodbError('unimplemented', 'arrow_ipc is not supported yet: send rows or ndjson', {
      code: 'arrow_ipc_not_supported',
    });
  }
  const request = {
    table: view.table,
    ack: ackFromWire(view.ack),
    batchId: view.batch_id,
    skipInvalid: view.skip_invalid,
  };
  const encoding = encodingOf(view.compression);
  if (view.ndjson.length > 0) {
    const take = (textBytes: number) => share.take(textBytes * LINES_FACTOR);
    if (encoding === undefined) take(view.ndjson.length);
    const text =
      encoding === undefined
        ? view.ndjson
        : await decompress(view.ndjson, encoding, { bytesMax: textBytesMax, take });
    return { input: { ...request, rows: { form: 'ndjson', bytes: text } }, complete: (receipt) => receipt };
  }
  if (encoding !== undefined)
    throw invalid('compression_without_ndjson', 'compression is of ndjson, not of rows');
  share.take(bytes.length * (OBJECTS_FACTOR - 1));
  const read = await readRows(view.rows);
  if (read.errors.length > 0 && !request.skipInvalid) throw refusalOf(read, view.rows.length);
  return {
    input: { ...request, rows: { form: 'rows', rows: read.rows } },
    complete: (receipt) => merge(read, receipt),
  };
}

function encodingOf(compression: number): ContentEncoding | undefined {
  switch (compression) {
    case Compression.NONE:
      return undefined;
    case Compression.GZIP:
      return 'gzip';
    case Compression.ZSTD:
      return 'zstd';
    default:
      throw invalid('unknown_compression', `unknown compression ${compression}`);
  }
}

interface ReadRows {
  readonly rows: SourcedRow[];
  /** Index in the request of each of `rows`. */
  readonly indexes: number[];
  readonly errors: RowError[];
}

async function readRows(views: readonly BatchRowView[]): Promise<ReadRows> {
  const rows: SourcedRow[] = [];
  const indexes: number[] = [];
  const errors: RowError[] = [];
  const turns = new Turns();
  for (const [index, view] of views.entries()) {
    try {
      rows.push({ id: view.id, timestamp: view.timestamp, ...payloadOf(view) });
      indexes.push(index);
    } catch (thrown) {
      const { code, message } = asMiniodbError(thrown);
      errors.push({ index, code, message });
    }
    if (turns.isOver) await turns.next();
  }
  return { rows, indexes, errors };
}

function payloadOf(view: BatchRowView): Pick<SourcedRow, 'payload' | 'payloadText'> {
  if (view.payload_json === undefined || view.payload_json.length === 0) {
    // Neither: what the validator says of a row without a payload.
    return { payload: view.payload === undefined ? undefined : decodeStruct(view.payload) };
  }
  if (view.payload !== undefined)
    throw invalid('ambiguous_payload', 'set only one of payload and payload_json');
  const json = Buffer.from(
    view.payload_json.buffer,
    view.payload_json.byteOffset,
    view.payload_json.byteLength,
  );
  const text = () => decodeUtf8(json, 0, json.length);
  // Decoded again for the tables that keep it: most do not, and it would be held for every row of the request.
  return { payload: parseExactJson(text()), payloadText: () => text().trim() };
}

function refusalOf(read: ReadRows, rowCount: number): MiniodbError {
  const { errors } = read;
  const first = errors[0]!;
  const message = `${errors.length} of ${rowCount} rows cannot be read and none was stored; row ${first.index}: ${first.message}`;
  return new MiniodbError('invalid_argument', message, {
    code: 'invalid_rows',
    details: { errors: errors.slice(0, ROW_ERRORS_MAX), rejected: errors.length },
  });
}

function merge(read: ReadRows, receipt: BatchReceipt): BatchReceipt {
  if (read.errors.length === 0) return receipt;
  const later = receipt.errors.map((error) => ({ ...error, index: read.indexes[error.index]! }));
  const errors = [...read.errors, ...later].sort((a, b) => a.index - b.index).slice(0, ROW_ERRORS_MAX);
  return { ...receipt, rejected: receipt.rejected + read.errors.length, errors };
}

function invalid(code: string, message: string): MiniodbError {
  return new MiniodbError('invalid_argument', message, { code });
}
