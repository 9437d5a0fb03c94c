import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** The file that is read when it is there and none was named. */
const DEFAULT_FILE = 'config.yaml';
/** Names no file, not even the one that is there. */
const NO_FILE = 'none';

/**
 * Which file: the one of `--config`, else of MINIODB_CONFIG, else ./config.yaml when it exists. A file that was named
 * need not exist here: reading it says so. @returns undefined for no file at all
 */
export function locateConfigFile(
  flag: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
  directory: string,
): string | undefined {
  const named = flag ?? (env.MINIODB_CONFIG || undefined);
  if (named === NO_FILE) return undefined;
  if (named !== undefined) return named;
  return existsSync(join(directory, DEFAULT_FILE)) ? DEFAULT_FILE : undefined;
}
