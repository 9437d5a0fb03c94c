import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { helpText, parseFlags } from '../config/flags.ts';
import { loadSettings } from '../config/load.ts';
import { problemText } from '../config/problem.ts';
import type { Settings } from '../config/resolve.ts';
import type { RoleName } from '../config/setting.ts';
import type { TableConfig } from '../table/config.ts';
import { MiniodbError } from './errors.ts';
import type { Log } from './log.ts';

/** What every role is told. */
export interface RoleConfig {
  readonly redisUrl: string;
  readonly storeUrl: string;
  readonly storeAccessKey: string | undefined;
  readonly storeSecretKey: string | undefined;
  readonly host: string;
  readonly advertisedHost: string;
  readonly adminPort: number;
  readonly logLevel: string;
  readonly nodeId: string;
  /** What tables inherit: `tables.default_config` of the file over what is built in. */
  readonly tableDefaults: TableConfig;
  /** Undefined: there is none. */
  readonly configFile: string | undefined;
  /** What the file says without effect, a line each. */
  readonly configWarnings: readonly string[];
  readonly permissionsEnabled: boolean;
}

/** A bad configuration, as a bad command line, ends with this. */
const EXIT_CONFIG = 2;

export function roleConfig(settings: Settings): RoleConfig {
  const host = settings.get('MINIODB_HOST');
  const name = settings.get('MINIODB_NODE_NAME') ?? hostname();
  return {
    redisUrl: settings.get('REDIS_URL'),
    storeUrl: settings.get('MINIODB_STORE_URL'),
    storeAccessKey: settings.get('MINIODB_STORE_ACCESS_KEY'),
    storeSecretKey: settings.get('MINIODB_STORE_SECRET_KEY'),
    host,
    advertisedHost: settings.get('MINIODB_ADVERTISED_HOST') ?? host,
    adminPort: settings.get('MINIODB_ADMIN_PORT'),
    logLevel: settings.get('MINIODB_LOG_LEVEL'),
    nodeId: settings.get('MINIODB_NODE_ID') ?? `${settings.role}-${name}-${randomBytes(3).toString('hex')}`,
    tableDefaults: settings.tableDefaults,
    configFile: settings.file?.file,
    configWarnings: settings.file?.warnings.map(problemText) ?? [],
    permissionsEnabled: settings.permissions.enabled,
  };
}

/**
 * The configuration of the role that this process is. With `--help` it prints the settings and ends; when something is
 * wrong it says all of it on stderr and ends with 2: there is no log yet whose level would be known.
 */
export function configureRole<Config>(role: RoleName, toConfig: (settings: Settings) => Config): Config {
  const args = process.argv.slice(2);
  if (parseFlags(role, args).help) {
    process.stdout.write(helpText(role));
    process.exit(0);
  }
  try {
    return toConfig(loadSettings(role, { env: process.env, args, directory: process.cwd() }));
  } catch (error) {
    if (!(error instanceof MiniodbError)) throw error;
    process.stderr.write(`${role}: ${error.message} (${error.code})\n`);
    process.exit(EXIT_CONFIG);
  }
}

/** Says at start what operators must not overlook. */
export function logConfig(log: Log, config: RoleConfig): void {
  for (const warning of config.configWarnings) log.warn({ event: 'config_warning', warning });
  if (!config.permissionsEnabled) {
    log.warn({
      event: 'permissions_off',
      host: config.host,
      message: 'permissions are off: whoever reaches this process may read and change every table',
    });
  }
}
