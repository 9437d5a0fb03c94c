import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { decodeKeyPart, encodeKeyPart, KEY_PART_BYTES_MAX } from './key-codec.ts';

/** Ids as people and attackers choose them: ASCII with every special character, and any Unicode. */
const anyId = fc
  .oneof(
    fc.string({ unit: fc.constantFrom(...'ab-_.~/:*?[]{}% \n\0AZ09'), minLength: 1, maxLength: 80 }),
    fc.string({ unit: 'binary', minLength: 1, maxLength: 250 }),
  )
  .filter((text) => Buffer.byteLength(text) <= 1024);

describe('encodeKeyPart', () => {
  it('writes everyday ids as they are and everything else as bytes', () => {
    const examples: readonly (readonly [text: string, part: string])[] = [
      ['user-1_A', 'user-1_A'],
      ['a.b..c', 'a.b..c'],
      ['.', '~2e'],
      ['..', '~2e~2e'],
      ['.hidden.', '~2ehidden~2e'],
      ['a/b', 'a~2fb'],
      ['a b\r\n', 'a~20b~0d~0a'],
      ['~', '~7e'],
      ['~-x', '~7e-x'],
      ['{tag}:*?[a-z]', '~7btag~7d~3a~2a~3f~5ba-z~5d'],
      ['é', '~c3~a9'],
      ['😀', '~f0~9f~98~80'],
      ['\ufeffa', '~ef~bb~bfa'],
      ['__proto__', '__proto__'],
      ['%2e%2e%2f', '~252e~252e~252f'],
    ];
    for (const [text, part] of examples) {
      assert.equal(encodeKeyPart(text), part);
      assert.equal(decodeKeyPart(part), text);
    }
  });

  it('keeps texts apart that only look alike', () => {
    assert.notEqual(encodeKeyPart('\u00e9'), encodeKeyPart('e\u0301'));
    assert.notEqual(encodeKeyPart('A'), encodeKeyPart('a'));
    assert.notEqual(encodeKeyPart('\ufeffa'), encodeKeyPart('a'));
  });

  it('is undone by decodeKeyPart unless it had to hash', () => {
    fc.assert(
      fc.property(anyId, (id) => {
        const part = encodeKeyPart(id);
        assert.ok(part.length <= KEY_PART_BYTES_MAX);
        assert.equal(decodeKeyPart(part), part.startsWith('~-') ? undefined : id);
      }),
      { numRuns: 2000 },
    );
  });

  it('never gives two ids one part', () => {
    fc.assert(
      fc.property(anyId, anyId, (a, b) => assert.equal(a === b, encodeKeyPart(a) === encodeKeyPart(b))),
      { numRuns: 2000 },
    );
  });

  it('never makes a special, reserved or unsafe segment', () => {
    fc.assert(
      fc.property(anyId, (id) => {
        const part = encodeKeyPart(id);
        assert.match(part, /^[A-Za-z0-9_.~-]+$/);
        assert.doesNotMatch(part, /^\.|\.$/);
        // A `~` before anything but two hex digits is reserved, except the `~-` of a hash.
        assert.match(part, /^(?:~-[0-9a-f]{64}|(?:[^~]|~[0-9a-f]{2})+)$/);
      }),
      { numRuns: 2000 },
    );
  });

  it('hashes what would be longer than the limit, and nothing shorter', () => {
    assert.equal(encodeKeyPart('x'.repeat(200)), 'x'.repeat(200));
    const long = 'x'.repeat(201);
    assert.equal(encodeKeyPart(long), `~-${createHash('sha256').update(long).digest('hex')}`);
    assert.equal(encodeKeyPart('é'.repeat(33)), '~c3~a9'.repeat(33));
    assert.match(encodeKeyPart('é'.repeat(34)), /^~-/);
    assert.equal(decodeKeyPart(encodeKeyPart(long)), undefined);
  });

  it('refuses what is no id', () => {
    for (const text of ['', 'x'.repeat(1025), '😀'.repeat(257), '\ud800', 'a\udc00b', '\udc00\ud800']) {
      assert.throws(() => encodeKeyPart(text), { kind: 'invalid_argument', code: 'invalid_id' });
    }
    assert.match(encodeKeyPart('x'.repeat(1024)), /^~-/);
  });
});

describe('decodeKeyPart', () => {
  it('refuses the segments that our own objects use', () => {
    for (const part of ['~s00', '~s03', '~table', '~log', '~mixed']) {
      assert.throws(() => decodeKeyPart(part), { kind: 'invalid_argument', code: 'invalid_key_part' });
    }
  });

  it('refuses what encodeKeyPart never answers', () => {
    const refused = [
      '',
      '.',
      '..',
      '.a',
      'a.',
      'a/b',
      'a b',
      'é',
      '~',
      '~2',
      'a~2',
      '~2F', // upper-case hex
      '~61', // `a` needs no escape
      'a~2eb', // nor does a dot inside
      '~ff', // not UTF-8
      '~c3',
      '~c0~af', // overlong
      '~ed~a0~80', // a surrogate
      '~-',
      `~-${'a'.repeat(63)}`,
      `~-${'A'.repeat(64)}`,
      'x'.repeat(201),
    ];
    for (const part of refused) {
      assert.throws(() => decodeKeyPart(part), { kind: 'invalid_argument', code: 'invalid_key_part' }, part);
    }
  });

  it('accepts exactly one part for each text', () => {
    const anyPart = fc.string({ unit: fc.constantFrom(...'ab.~-0289cefF'), minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(anyPart, (part) => {
        let text: string | undefined;
        try {
          text = decodeKeyPart(part);
        } catch {
          return;
        }
        assert.equal(text === undefined ? undefined : encodeKeyPart(text), part);
      }),
      { numRuns: 5000 },
    );
  });
});
