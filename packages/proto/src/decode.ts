import { BinaryReader } from '@bufbuild/protobuf/wire';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { decodeUtf8 } from './utf8.ts';

/**
 * Decodes a message whose text must arrive unchanged: the generated decoders' own reader repairs invalid UTF-8 silently.
 * Throws `invalid_argument`: `malformed_message` or `invalid_utf8`.
 *
 * @param type a generated message
 */
export function decodeStrict<T>(type: { decode(reader: BinaryReader): T }, bytes: Uint8Array): T {
  try {
    return type.decode(new StrictReader(bytes));
  } catch (error) {
    throw asMalformed(error);
  }
}

/** What a generated decoder threw. */
export function asMalformed(error: unknown): MiniodbError {
  if (error instanceof MiniodbError) return error;
  return new MiniodbError('invalid_argument', 'the request is not a valid message', {
    code: 'malformed_message',
    cause: error,
  });
}

class StrictReader extends BinaryReader {
  override string(): string {
    const bytes = this.bytes();
    return decodeUtf8(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), 0, bytes.length);
  }
}
