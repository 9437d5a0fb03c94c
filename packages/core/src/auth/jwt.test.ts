import assert from 'node:assert/strict';
import { createHmac, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { exportJWK, type JWTPayload, SignJWT } from 'jose';
import { openJwtCheck } from './jwt.ts';
import { authSchema } from './sections.ts';

const NOW_MS = 1_700_000_000_000;
const NOW_SECONDS = NOW_MS / 1_000;
const SECRET = 'a secret of more than thirty-two bytes';
const GOOD: JWTPayload = {
  iss: 'issuer',
  aud: 'miniodb',
  sub: 'analyst-001',
  nbf: NOW_SECONDS - 60,
  exp: NOW_SECONDS + 60,
};
const refused = { kind: 'unauthenticated', code: 'unauthenticated' };

const rsa = generateKeyPairSync('rsa', { modulusLength: 2_048 });
const otherRsa = generateKeyPairSync('rsa', { modulusLength: 2_048 });
const publicPem = rsa.publicKey.export({ type: 'spki', format: 'pem' }) as string;

const scratch = mkdtempSync(join(tmpdir(), 'miniodb-jwt-'));
after(() => rmSync(scratch, { recursive: true }));
const publicKeyFile = join(scratch, 'public.pem');
writeFileSync(publicKeyFile, publicPem);

const open = (jwt: object) => {
  const section = authSchema.parse({ jwt: { issuer: 'issuer', audience: 'miniodb', ...jwt } }).jwt!;
  return openJwtCheck(section, () => NOW_MS);
};
const openHs = (more: object = {}) => open({ algorithm: 'HS256', secret: SECRET, ...more });
const openRs = () => open({ algorithm: 'RS256', public_key_file: publicKeyFile });

const hs = (payload: JWTPayload, secret = SECRET) =>
  new SignJWT(payload).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(secret));
const rs = (payload: JWTPayload, key: KeyObject = rsa.privateKey, header: object = {}) =>
  new SignJWT(payload).setProtectedHeader({ alg: 'RS256', ...header }).sign(key);

/** Signed by hand, where jose would not. */
function crafted(header: object, payload: object, secret: string, hash = 'sha256'): string {
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url');
  const input = `${encode(header)}.${encode(payload)}`;
  return `${input}.${createHmac(hash, secret).update(input).digest('base64url')}`;
}

test('a JWT of the configured algorithm, issuer and audience names its user', async () => {
  assert.equal(await (await openHs()).userOf(await hs(GOOD)), 'analyst-001');
  assert.equal(await (await openRs()).userOf(await rs(GOOD)), 'analyst-001');
  const byMail = await openHs({ user_claim: 'email' });
  assert.equal(await byMail.userOf(await hs({ ...GOOD, email: 'a@b.c' })), 'a@b.c');
});

test('a JWT that is over is told as expired, ten seconds after its time', async () => {
  const check = await openHs();
  assert.equal(await check.userOf(await hs({ ...GOOD, exp: NOW_SECONDS - 9 })), 'analyst-001');
  const expired = { kind: 'unauthenticated', code: 'token_expired' };
  await assert.rejects(check.userOf(await hs({ ...GOOD, exp: NOW_SECONDS - 11 })), expired);
  const forged = await hs({ ...GOOD, exp: NOW_SECONDS - 11 }, 'x'.repeat(32));
  await assert.rejects(check.userOf(forged), refused);
});

test('a JWT with a wrong, missing or odd claim is refused', async () => {
  const check = await openHs();
  const without = (claim: string) =>
    Object.fromEntries(Object.entries(GOOD).filter(([name]) => name !== claim));
  for (const payload of [
    { ...GOOD, iss: 'somebody' },
    { ...GOOD, aud: 'other' },
    { ...GOOD, aud: ['other'] },
    { ...GOOD, nbf: NOW_SECONDS + 11 },
    { ...GOOD, sub: '' },
    { ...GOOD, sub: 'x'.repeat(129) },
    { ...GOOD, sub: ['analyst-001'] as unknown as string },
    { ...GOOD, exp: 'never' as unknown as number },
    ...['iss', 'aud', 'sub', 'exp'].map(without),
  ]) {
    await assert.rejects(check.userOf(await hs(payload)), refused, JSON.stringify(payload));
  }
  assert.equal(await check.userOf(await hs(without('nbf'))), 'analyst-001');
  const strict = await openHs({ require_nbf: true });
  await assert.rejects(strict.userOf(await hs(without('nbf'))), refused);
});

test('nobody chooses the algorithm but the configuration', async () => {
  const rsCheck = await openRs();
  const hsCheck = await openHs();
  const none = (alg: string) => {
    const text = crafted({ alg }, GOOD, '');
    return text.slice(0, text.lastIndexOf('.') + 1);
  };
  for (const alg of ['none', 'None', 'NONE', 'nOnE']) {
    await assert.rejects(rsCheck.userOf(none(alg)), refused, alg);
    await assert.rejects(hsCheck.userOf(none(alg)), refused, alg);
  }
  // The public key as the secret of an HMAC, in each form that somebody might take it in.
  for (const secret of [publicPem, publicPem.trim(), publicPem.replace(/\n/g, '')]) {
    await assert.rejects(rsCheck.userOf(crafted({ alg: 'HS256' }, GOOD, secret)), refused);
    await assert.rejects(rsCheck.userOf(crafted({ alg: 'RS256' }, GOOD, secret)), refused);
  }
  await assert.rejects(hsCheck.userOf(await rs(GOOD)), refused);
  // A genuine signature, of another algorithm.
  const long = SECRET.repeat(2);
  const longCheck = await openHs({ secret: long });
  await assert.rejects(longCheck.userOf(crafted({ alg: 'HS512' }, GOOD, long, 'sha512')), refused);
});

test('a token brings neither its own key nor a place to find one', async () => {
  const check = await openRs();
  const jwk = { ...(await exportJWK(otherRsa.publicKey)), alg: 'RS256' };
  for (const header of [
    { jwk },
    { jku: 'http://127.0.0.1:1/jwks' },
    { x5u: 'http://127.0.0.1:1/cert' },
    { kid: '../../../../dev/null' },
    { kid: "x' UNION SELECT 'secret" },
  ]) {
    const forged = await rs(GOOD, otherRsa.privateKey, header);
    await assert.rejects(check.userOf(forged), refused, JSON.stringify(header));
  }
  // HS256 with the empty file that a kid points at.
  const traversal = crafted({ alg: 'HS256', kid: '../../../../dev/null' }, GOOD, '');
  const hsCheck = await openHs();
  await assert.rejects(hsCheck.userOf(traversal), refused);
  await assert.rejects(hsCheck.userOf(crafted({ alg: 'HS256', crit: ['x'], x: 1 }, GOOD, SECRET)), refused);
});

test('a text that is no JWT, is changed, or is longer than 8 KiB is refused', async () => {
  const check = await openHs();
  const good = await hs(GOOD);
  const [header, payload, mac] = good.split('.') as [string, string, string];
  const admin = Buffer.from(JSON.stringify({ ...GOOD, sub: 'admin-001' })).toString('base64url');
  for (const text of [
    '',
    '.',
    '..',
    'a.b.c',
    `${header}.${payload}`,
    `${header}.${payload}.`,
    `${header}.${admin}.${mac}`,
    `${good}.${mac}`,
    `{"payload":"${payload}"}`,
    await hs({ ...GOOD, pad: 'x'.repeat(8_192) }),
    'x'.repeat(1_048_576),
  ]) {
    await assert.rejects(check.userOf(text), refused, text.slice(0, 40));
  }
});

test('keys come from the key set, by their id, and its failure is told as unavailable', async (t) => {
  const jwk = { ...(await exportJWK(rsa.publicKey)), kid: 'k1', alg: 'RS256', use: 'sig' };
  let answer: { status: number; body: string } = { status: 200, body: JSON.stringify({ keys: [jwk] }) };
  let fetches = 0;
  const server = createServer((_request, response) => {
    fetches += 1;
    response.writeHead(answer.status, { 'content-type': 'application/json' }).end(answer.body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const jwks_url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`;
  const openJwks = () => open({ algorithm: 'RS256', jwks_url });

  const check = await openJwks();
  assert.equal(await check.userOf(await rs(GOOD, rsa.privateKey, { kid: 'k1' })), 'analyst-001');
  await assert.rejects(check.userOf(await rs(GOOD, otherRsa.privateKey, { kid: 'k1' })), refused);
  for (let made = 0; made < 5; made += 1) {
    await assert.rejects(check.userOf(await rs(GOOD, rsa.privateKey, { kid: `made-up-${made}` })), refused);
  }
  assert.equal(fetches, 1, 'made-up key ids were fetched for');

  const unavailable = { kind: 'unavailable', code: 'jwks_unavailable' };
  const token = await rs(GOOD, rsa.privateKey, { kid: 'k1' });
  for (const bad of [
    { status: 500, body: 'down' },
    { status: 200, body: '<html>' },
    { status: 200, body: '{}' },
    { status: 200, body: JSON.stringify({ keys: [jwk], pad: 'x'.repeat(2_000_000) }) },
  ]) {
    answer = bad;
    await assert.rejects((await openJwks()).userOf(token), unavailable, bad.body.slice(0, 20));
  }
  const nobodyThere = await open({ algorithm: 'RS256', jwks_url: 'http://127.0.0.1:1/jwks' });
  await assert.rejects(nobodyThere.userOf(token), unavailable);
});

test('a symmetric key in a key set makes nobody a signer of RS256', async (t) => {
  const body = JSON.stringify({
    keys: [{ kty: 'oct', k: Buffer.from(SECRET).toString('base64url'), kid: 'k1' }],
  });
  const server = createServer((_request, response) => response.end(body));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const check = await open({
    algorithm: 'RS256',
    jwks_url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
  });
  await assert.rejects(check.userOf(crafted({ alg: 'HS256', kid: 'k1' }, GOOD, SECRET)), refused);
  await assert.rejects(check.userOf(crafted({ alg: 'RS256', kid: 'k1' }, GOOD, SECRET)), refused);
});

test('a file that is missing or holds no public key is refused at start', async () => {
  const notAKey = join(scratch, 'private.pem');
  writeFileSync(notAKey, rsa.privateKey.export({ type: 'pkcs8', format: 'pem' }));
  for (const public_key_file of [notAKey, join(scratch, 'missing.pem')]) {
    await assert.rejects(open({ algorithm: 'RS256', public_key_file }), {
      kind: 'invalid_argument',
      code: 'invalid_jwt_key',
    });
  }
});
