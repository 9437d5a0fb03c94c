import { createHash } from 'node:crypto';
import type { Directory } from '@miniodb/core/auth/directory.ts';
import type { JwtCheck } from '@miniodb/core/auth/jwt.ts';
import { ANONYMOUS, type Principal } from '@miniodb/core/auth/principal.ts';
import { credentialsMissing, unauthenticated, userUnknown } from '@miniodb/core/auth/refusals.ts';
import type { TokenCheck } from '@miniodb/core/auth/token-check.ts';
import { LRUCache } from 'lru-cache';

/** Says who calls, for both servers. */
export interface Authentication {
  /** False while permissions are off: then everybody is ANONYMOUS, and what they show is not looked at. */
  readonly isRequired: boolean;
  /**
   * @param authorization the header, or the metadata, of that name
   * @param peer address of who has connected, so that one address does not use up what there is for all
   *
   * Throws `unauthenticated`: `credentials_missing`,
   * `unauthenticated`, `token_expired`, `user_unknown`; and what Redis or the issuer of JWTs failed with.
   */
  principalOf(authorization: string | undefined, peer?: string): Promise<Principal>;
}

/** While permissions are off. */
export const EVERYBODY: Authentication = {
  isRequired: false,
  principalOf: async () => ANONYMOUS,
};

const BEARER = /^bearer +(\S+) *$/i;
const API_TOKEN_PREFIX = 'mdb_';
/** Longer than any JWT that is taken, with the scheme. */
const HEADER_CHARS_MAX = 9 * 1_024;
/** A signature is checked again when this has passed: clients of single rows show the same JWT thousands of times a second. */
const JWT_MAX_AGE_MS = 2_000;
const JWTS_MAX = 10_000;

export interface AuthenticationParts {
  readonly directory: Directory;
  readonly tokens: TokenCheck;
  /** Undefined where no issuer is configured: then JWTs are not valid. */
  readonly jwt: JwtCheck | undefined;
  /** Told of every caller that is not let in. */
  readonly onRefused: (error: unknown) => void;
}

export function openAuthentication(parts: AuthenticationParts): Authentication {
  if (!parts.directory.enabled) return EVERYBODY;
  const jwtUsers = new LRUCache<string, string>({ max: JWTS_MAX, ttl: JWT_MAX_AGE_MS });

  const userOfJwt = async (text: string): Promise<string> => {
    if (parts.jwt === undefined) throw unauthenticated();
    const digest = createHash('sha256').update(text).digest('base64');
    const known = jwtUsers.get(digest);
    if (known !== undefined) return known;
    const user = await parts.jwt.userOf(text);
    jwtUsers.set(digest, user);
    return user;
  };

  const principalOf = async (authorization: string | undefined, peer?: string): Promise<Principal> => {
    const text = bearerOf(authorization);
    const isToken = text.startsWith(API_TOKEN_PREFIX);
    const user = await (isToken ? parts.tokens.userOf(text, peer) : userOfJwt(text));
    const principal = parts.directory.principal(user);
    if (principal === undefined) throw userUnknown(user);
    return principal;
  };

  return {
    isRequired: true,
    principalOf: async (authorization, peer) => {
      try {
        return await principalOf(authorization, peer);
      } catch (error) {
        parts.onRefused(error);
        throw error;
      }
    },
  };
}

function bearerOf(authorization: string | undefined): string {
  if (authorization === undefined || authorization.trim() === '') throw credentialsMissing();
  if (authorization.length > HEADER_CHARS_MAX) throw unauthenticated();
  const match = BEARER.exec(authorization);
  if (match === null) throw credentialsMissing();
  return match[1]!;
}
