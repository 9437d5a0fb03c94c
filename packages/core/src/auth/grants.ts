import { MiniodbError } from '../runtime/errors.ts';

/** What can be done with a table. `admin` creates, changes and drops; it does not include the others: `*` does. */
export const ACTIONS = ['read', 'write', 'admin'] as const;
export type Action = (typeof ACTIONS)[number];

const GRANT = /^table:([A-Za-z0-9_*?]{1,64}):(read|write|admin|\*)$/;

interface Grant {
  /** In lower case, as table names are compared. */
  readonly glob: string;
  readonly action: Action | '*';
}

/**
 * What somebody may do: the union of grants `table:<glob>:<read|write|admin|*>`. In a glob `*` stands for any characters,
 * none included, and `?` for one. Throws `invalid_argument`/`invalid_grant` for anything else.
 */
export class Grants {
  readonly #grants: readonly Grant[];

  constructor(texts: readonly string[]) {
    this.#grants = texts.map(parseGrant);
  }

  /** @param table in lower case */
  allow(action: Action, table: string): boolean {
    return this.#grants.some(
      (grant) => (grant.action === action || grant.action === '*') && matchesGlob(grant.glob, table),
    );
  }

  /** Whether there is some name that it allows. */
  allowSomewhere(action: Action): boolean {
    return this.#grants.some((grant) => grant.action === action || grant.action === '*');
  }

  /** Whether everything of the cluster is allowed that is not about one table. */
  get isClusterAdmin(): boolean {
    return this.#grants.some(({ glob, action }) => glob === '*' && (action === 'admin' || action === '*'));
  }
}

function parseGrant(text: string): Grant {
  const match = GRANT.exec(text);
  if (match === null) {
    throw new MiniodbError(
      'invalid_argument',
      `cannot read the grant ${JSON.stringify(text)}: it is table:<glob>:<${ACTIONS.join('|')}|*>`,
      { code: 'invalid_grant' },
    );
  }
  return { glob: match[1]!.toLowerCase(), action: match[2] as Grant['action'] };
}

/** Linear in the product of the lengths, whatever the pattern: no regular expression, nothing to blow up. */
export function matchesGlob(glob: string, text: string): boolean {
  let at = 0;
  let inGlob = 0;
  let star = -1;
  let starAt = 0;
  while (at < text.length) {
    if (inGlob < glob.length && glob[inGlob] === '*') {
      star = inGlob;
      starAt = at;
      inGlob += 1;
    } else if (inGlob < glob.length && (glob[inGlob] === '?' || glob[inGlob] === text[at])) {
      inGlob += 1;
      at += 1;
    } else if (star !== -1) {
      starAt += 1;
      at = starAt;
      inGlob = star + 1;
    } else return false;
  }
  while (inGlob < glob.length && glob[inGlob] === '*') inGlob += 1;
  return inGlob === glob.length;
}
