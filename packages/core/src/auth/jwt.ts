import { readFile } from 'node:fs/promises';
import { createRemoteJWKSet, customFetch, errors, importSPKI, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { MiniodbError } from '../runtime/errors.ts';
import { tokenExpired, unauthenticated } from './refusals.ts';
import type { JwtSection } from './sections.ts';

/** Of the token's text. Real ones have one or two. */
const JWT_BYTES_MAX = 8 * 1_024;
/** What clocks of issuers may be off. */
const CLOCK_TOLERANCE_SECONDS = 10;
const JWKS_TIMEOUT_MS = 5_000;
/** A key that an issuer withdraws is refused when this has passed. */
const JWKS_MAX_AGE_MS = 10 * 60_000;
/** Between two fetches for keys that the set did not have: made-up key ids are free. */
const JWKS_COOLDOWN_MS = 30_000;
const JWKS_BYTES_MAX = 1_048_576;
const USER_LENGTH_MAX = 128;

export interface JwtCheck {
  /**
   * @returns the user. Throws `unauthenticated`: `token_expired`, and `unauthenticated` for every other token that is not good;
   * `unavailable`/`jwks_unavailable` when the issuer's keys cannot be had.
   */
  userOf(text: string): Promise<string>;
}

/**
 * Checks JWTs of one issuer: one algorithm, which the token cannot choose, signature, iss, aud, exp and nbf. What a
 * token says of roles is not looked at. Where the key comes from is ours alone: jku, x5u, jwk and paths in kid do
 * nothing.
 *
 * Throws `invalid_argument`/`invalid_jwt_key` when public_key_file cannot be read or is no RSA key.
 * @param nowMs milliseconds since 1970
 */
export async function openJwtCheck(section: JwtSection, nowMs: () => number): Promise<JwtCheck> {
  const { algorithm, issuer, audience, user_claim: userClaim } = section;
  const keyOf = await keySource(section);
  const requiredClaims = ['exp', userClaim, ...(section.require_nbf ? ['nbf'] : [])];
  return {
    async userOf(text) {
      if (text.length > JWT_BYTES_MAX) throw unauthenticated();
      let payload: Readonly<Record<string, unknown>>;
      try {
        ({ payload } = await jwtVerify(text, keyOf, {
          algorithms: [algorithm],
          issuer,
          audience,
          requiredClaims,
          clockTolerance: CLOCK_TOLERANCE_SECONDS,
          currentDate: new Date(nowMs()),
        }));
      } catch (error) {
        if (error instanceof MiniodbError) throw error;
        // jose checks the signature first: only who has a genuine token learns that it is over.
        throw error instanceof errors.JWTExpired ? tokenExpired() : unauthenticated(error);
      }
      const user = payload[userClaim];
      if (typeof user !== 'string' || user === '' || user.length > USER_LENGTH_MAX) throw unauthenticated();
      return user;
    },
  };
}

async function keySource(section: JwtSection): Promise<JWTVerifyGetKey> {
  if (section.secret !== undefined) {
    const secret = new TextEncoder().encode(section.secret);
    return async () => secret;
  }
  if (section.jwks_url !== undefined) return remoteKeys(section.jwks_url);
  try {
    const key = await importSPKI(await readFile(section.public_key_file!, 'utf8'), section.algorithm);
    return async () => key;
  } catch (cause) {
    throw new MiniodbError(
      'invalid_argument',
      `auth.jwt.public_key_file ${section.public_key_file} is not an RSA public key in PEM (SPKI)`,
      {
        code: 'invalid_jwt_key',
        cause,
      },
    );
  }
}

function remoteKeys(url: string): JWTVerifyGetKey {
  const keys = createRemoteJWKSet(new URL(url), {
    timeoutDuration: JWKS_TIMEOUT_MS,
    cacheMaxAge: JWKS_MAX_AGE_MS,
    cooldownDuration: JWKS_COOLDOWN_MS,
    [customFetch]: fetchBounded,
  });
  return async (header, token) => {
    try {
      return await keys(header, token);
    } catch (error) {
      const isAboutToken =
        error instanceof errors.JWKSNoMatchingKey ||
        error instanceof errors.JWKSMultipleMatchingKeys ||
        error instanceof errors.JOSENotSupported;
      if (isAboutToken) throw error;
      throw new MiniodbError('unavailable', 'the keys that JWTs are checked with cannot be had now', {
        code: 'jwks_unavailable',
        retryAfterMs: 1_000,
        cause: error,
      });
    }
  };
}

async function fetchBounded(url: string, init: RequestInit): Promise<Response> {
  const response = await fetch(url, init);
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > JWKS_BYTES_MAX) throw new Error(`the key set has more than ${JWKS_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  return new Response(Buffer.concat(chunks), { status: response.status, headers: response.headers });
}
