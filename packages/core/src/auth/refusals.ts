import { MiniodbError } from '../runtime/errors.ts';

/** Why a caller is not let in: few codes, and nothing that helps to find a token that works. */

export function credentialsMissing(): MiniodbError {
  return new MiniodbError('unauthenticated', 'send Authorization: Bearer with an API token or a JWT', {
    code: 'credentials_missing',
  });
}

export function unauthenticated(cause?: unknown): MiniodbError {
  return new MiniodbError('unauthenticated', 'the credentials are not valid', {
    code: 'unauthenticated',
    cause,
  });
}

export function tokenExpired(): MiniodbError {
  return new MiniodbError('unauthenticated', 'the credentials have expired', { code: 'token_expired' });
}

/** For who has proved to be a user: the configuration gives that one nothing. */
export function userUnknown(user: string): MiniodbError {
  return new MiniodbError('unauthenticated', `the configuration has no user ${JSON.stringify(user)}`, {
    code: 'user_unknown',
  });
}
