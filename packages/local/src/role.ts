import { join } from 'node:path';
import { ManagedProcess } from './process.ts';

export type Role = 'gateway' | 'flusher' | 'querier';

/** Loading DuckDB's binary on a busy machine is what takes longest. */
const READY_MS_MAX = 60_000;
const APPS_DIR = join(import.meta.dirname, '../../../apps');

/** Ports that a role's ready line names; which of them it has depends on the role. */
export interface RolePorts {
  readonly admin_port?: number;
  readonly grpc_port?: number;
  readonly rest_port?: number;
  readonly port?: number;
}

export interface RoleOptions {
  readonly role: Role;
  /** Its node id, and the name of its log: `flusher-1`. */
  readonly name: string;
  readonly env: Readonly<Record<string, string>>;
  readonly logFile: string;
  readonly pidFile?: string;
  /** The folder that holds `<role>/src/main.ts`. Default: that of this workspace. */
  readonly appsDir?: string;
}

export interface RoleProcess {
  readonly process: ManagedProcess;
  readonly ports: RolePorts;
}

/**
 * Starts a role with this Node and resolves at its ready line. The pipe at its stdin tells it when this process dies,
 * however it dies. Throws as ManagedProcess.start and until do; nothing is left running then.
 */
export async function startRole(options: RoleOptions): Promise<RoleProcess> {
  const main = join(options.appsDir ?? APPS_DIR, options.role, 'src', 'main.ts');
  const started = await ManagedProcess.start({
    name: options.name,
    command: process.execPath,
    args: [main],
    env: { ...options.env, MINIODB_NODE_ID: options.name, MINIODB_PARENT_PIPE: '1' },
    logFile: options.logFile,
    ...(options.pidFile === undefined ? {} : { pidFile: options.pidFile }),
  });
  try {
    const ports = await started.until('ready', READY_MS_MAX, () => readyPorts(started.output()));
    return { process: started, ports };
  } catch (error) {
    await started.kill();
    throw error;
  }
}

/** Finds the log line `{"event":"ready",…}`; other lines may be anything. */
export function readyPorts(log: string): RolePorts | undefined {
  // The last line may not be complete yet.
  for (const line of log.split('\n').slice(0, -1)) {
    if (!line.includes('"event":"ready"')) continue;
    try {
      return JSON.parse(line) as RolePorts;
    } catch {
      // Cut off at the front where the log is longer than what is read.
    }
  }
  return undefined;
}
