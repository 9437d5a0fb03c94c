import type { Log } from '@miniodb/core/runtime/log.ts';
import { Auditor } from './auditor.ts';
import { LineFile } from './line-file.ts';

export interface AuditOptions {
  readonly enabled: boolean;
  /** Undefined: standard output. */
  readonly path: string | undefined;
  readonly log: Log;
  readonly onLost: (entries: number) => void;
}

export interface Audit {
  readonly auditor: Auditor;
  /** What is merged or buffered is written; what comes later is lost, and counted. */
  close(): Promise<void>;
}

/** The audit of this process. Its file is opened again at SIGHUP. Throws `failed_precondition`/`audit_file_failed`. */
export async function openAudit({ enabled, path, log, onLost }: AuditOptions): Promise<Audit> {
  if (!enabled) return { auditor: new Auditor({ write: () => {} }), close: async () => {} };
  const file = await LineFile.open({ path, log, onLost });
  const auditor = new Auditor(file);
  const reopen = () => {
    log.info({ event: 'audit_reopen' });
    file.reopen();
  };
  // Without a file the signal keeps its meaning, which is the end of the process.
  if (path !== undefined) process.on('SIGHUP', reopen);
  return {
    auditor,
    async close() {
      process.off('SIGHUP', reopen);
      auditor.flush();
      await file.close();
    },
  };
}
