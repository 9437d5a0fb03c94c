import { z } from 'zod';

/** The sections of the configuration that say who may do what, and how callers prove who they are. */

/** A name of a user or a role: also what issuers write into `sub`, such as `auth0|5f7c` or `system:serviceaccount:a:b`. */
const nameSchema = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._@:|-]{0,127}$/);

/** What one principal may take, whatever its grants; absent: no limit of its own. */
const limitsSchema = z.strictObject({
  /** Tables that exist because this principal created them. */
  max_tables: z.int().min(0).max(1_000_000).optional(),
  requests_per_second: z.number().positive().max(1_000_000).optional(),
  /** Of write bodies as they are sent. */
  bytes_per_second: z.number().positive().max(1e12).optional(),
  concurrent_queries: z.int().min(1).max(10_000).optional(),
});

export type PrincipalLimits = z.infer<typeof limitsSchema>;

export const permissionsSchema = z.strictObject({
  enabled: z.boolean().default(false),
  /** Role -> grants (auth/grants.ts). */
  roles: z.record(nameSchema, z.array(z.string()).max(1_000)).default({}),
  /** User -> roles. */
  users: z
    .record(
      nameSchema.refine((name) => name !== 'anonymous', 'anonymous stands for everybody'),
      z.array(nameSchema).max(100),
    )
    .default({}),
  /** User -> limits; `*`: for every user without an entry of its own. */
  limits: z.record(z.union([z.literal('*'), nameSchema]), limitsSchema).default({}),
});

export type PermissionsSection = z.infer<typeof permissionsSchema>;

const LOOPBACK_HOSTS: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '[::1]']);

/** Whoever is on the way of an answer over plain http could put his own key into it. */
function isSafeUrl(url: string): boolean {
  const parsed = URL.parse(url);
  return parsed?.protocol === 'https:' || LOOPBACK_HOSTS.has(parsed?.hostname ?? '');
}

const jwtSchema = z
  .strictObject({
    algorithm: z.enum(['HS256', 'RS256']),
    /** Of HS256, which has no other. */
    secret: z.string().min(32).optional(),
    /** Of RS256, either of these: PEM (SPKI), read at start; or a JSON Web Key Set. */
    public_key_file: z.string().min(1).optional(),
    jwks_url: z
      .url({ protocol: /^https?$/ })
      .refine(isSafeUrl, 'must be https, or http to this machine')
      .optional(),
    issuer: z.string().min(1),
    audience: z.string().min(1),
    /** The claim that names the user; roles are never taken from a token. */
    user_claim: z.string().min(1).default('sub'),
    /** Whether tokens must say from when on they hold. Many issuers leave it out; where it is there, it is checked. */
    require_nbf: z.boolean().default(false),
  })
  .superRefine((jwt, context) => {
    const refuse = (message: string) => context.addIssue({ code: 'custom', message });
    const publicKeys = [jwt.public_key_file, jwt.jwks_url].filter((key) => key !== undefined).length;
    if (jwt.algorithm === 'HS256' && (jwt.secret === undefined || publicKeys > 0)) {
      refuse('HS256 needs secret, and neither public_key_file nor jwks_url');
    }
    // A public key that is taken for an HS256 secret lets everybody sign.
    if (jwt.algorithm === 'RS256' && (jwt.secret !== undefined || publicKeys !== 1)) {
      refuse('RS256 needs either public_key_file or jwks_url, and no secret');
    }
  });

export type JwtSection = z.infer<typeof jwtSchema>;

export const authSchema = z.strictObject({ jwt: jwtSchema.optional() });

export type AuthSection = z.infer<typeof authSchema>;
