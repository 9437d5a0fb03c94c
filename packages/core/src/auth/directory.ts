import { MiniodbError } from '../runtime/errors.ts';
import { Grants } from './grants.ts';
import { ANONYMOUS, type Principal } from './principal.ts';
import type { PermissionsSection } from './sections.ts';

/** Who the configuration knows, and what each may do. */
export class Directory {
  /** While it is false everybody is ANONYMOUS, whatever they show. */
  readonly enabled: boolean;
  readonly #principals = new Map<string, Principal>();

  /**
   * Throws `invalid_argument`: `unknown_role` for a user's role that is not defined, `invalid_grant`, or `invalid_user`
   * for a user of the name that stands for everybody.
   */
  constructor(permissions: PermissionsSection) {
    this.enabled = permissions.enabled;
    const grantsOfRole = new Map(Object.entries(permissions.roles));
    // Parsed also where no user has the role: a mistake shows at start, not on the day somebody gets it.
    for (const grants of grantsOfRole.values()) new Grants(grants);
    for (const [user, roles] of Object.entries(permissions.users)) {
      if (user === ANONYMOUS.user) {
        throw invalid('invalid_user', `no user can be called ${user}: it stands for everybody`);
      }
      const grants = roles.flatMap((role) => {
        const found = grantsOfRole.get(role);
        if (found === undefined) throw invalid('unknown_role', `user ${user} has the unknown role ${role}`);
        return found;
      });
      this.#principals.set(user, { user, grants: new Grants(grants) });
    }
  }

  get users(): readonly string[] {
    return [...this.#principals.keys()];
  }

  /** Undefined for a user that the configuration does not name. */
  principal(user: string): Principal | undefined {
    return this.enabled ? this.#principals.get(user) : ANONYMOUS;
  }
}

function invalid(code: string, message: string): MiniodbError {
  return new MiniodbError('invalid_argument', message, { code });
}
