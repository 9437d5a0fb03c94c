import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { type ContentEncoding, type DecompressLimits, decompress } from './decompress.ts';

const ROOMY: DecompressLimits = { bytesMax: 2 ** 30 };
const compressors = { gzip: gzipSync, zstd: zstdCompressSync };

async function codeOf(bytes: Uint8Array, encoding: ContentEncoding, limits = ROOMY): Promise<string> {
  try {
    await decompress(bytes, encoding, limits);
  } catch (error) {
    assert.ok(error instanceof MiniodbError);
    assert.equal(error.kind, 'invalid_argument');
    return error.code;
  }
  return 'accepted';
}

for (const encoding of ['gzip', 'zstd'] as const) {
  const compress = compressors[encoding];

  describe(encoding, () => {
    test('concatenated pieces come out as one text', async () => {
      const pieces = ['first\n', 'x'.repeat(300_000), '', 'last\n'];
      const body = Buffer.concat(pieces.map((piece) => compress(piece)));
      assert.equal((await decompress(body, encoding, ROOMY)).toString(), pieces.join(''));
    });

    test('a body that ends in the middle of a piece is refused', async () => {
      const whole = compress('row\n'.repeat(1000));
      assert.equal(await codeOf(whole.subarray(0, -1), encoding), 'invalid_compression');
      assert.equal(
        await codeOf(Buffer.concat([whole, whole.subarray(0, -1)]), encoding),
        'invalid_compression',
      );
    });

    test('bytes that are something else are refused, also after a good piece', async () => {
      assert.equal(await codeOf(Buffer.from('{"id":"a"}'), encoding), 'invalid_compression');
      assert.equal(await codeOf(Buffer.alloc(0), encoding), 'invalid_compression');
      const followed = Buffer.concat([compress('row\n'), Buffer.from('no frame at all')]);
      assert.equal(await codeOf(followed, encoding), 'invalid_compression');
    });

    test('a text of exactly the limit passes, one more byte does not', async () => {
      const limits = { bytesMax: 200_000 };
      assert.equal(await codeOf(compress('a'.repeat(200_000)), encoding, limits), 'accepted');
      assert.equal(await codeOf(compress('a'.repeat(200_001)), encoding, limits), 'body_too_large');
    });

    test('a bomb is refused by its ratio long before it is unpacked', async () => {
      const bomb = compress(Buffer.alloc(2 ** 28));
      const before = process.memoryUsage().arrayBuffers;
      assert.equal(await codeOf(bomb, encoding, { ...ROOMY, ratioMax: 50 }), 'compression_ratio_exceeded');
      const grown = process.memoryUsage().arrayBuffers - before;
      assert.ok(grown < 2 ** 26, `${grown} bytes were unpacked`);
    });

    test('equal rows may shrink as much as they like while they are few', async () => {
      assert.equal(await codeOf(compress('{"id":"a"}\n'.repeat(100_000)), encoding), 'accepted');
    });
  });
}

test('a body of countless tiny frames is refused', async () => {
  const frame = zstdCompressSync('');
  const body = Buffer.concat(Array.from({ length: 10_001 }, () => frame));
  assert.equal(await codeOf(body, 'zstd'), 'invalid_compression');
});
