import { decodeStrict } from '@miniodb/proto/decode.ts';
import {
  OlapServiceService,
  RecoverDataRequest,
  TriggerBackupRequest,
} from '@miniodb/proto/gen/olap/v1/olap.ts';
import type { Handlers, ServerCall } from '@miniodb/proto/service.ts';
import type { CallContext, GatewayApi } from '../api.ts';
import {
  backupResponse,
  nodeRecoveryUnsupported,
  partialRecoveryUnsupported,
  recoverResponse,
} from './backup-messages.ts';

export const BACKUP_SERVICE = {
  triggerBackup: {
    ...OlapServiceService.triggerBackup,
    requestDeserialize: (bytes: Buffer) => decodeStrict(TriggerBackupRequest, bytes),
  },
  recoverData: {
    ...OlapServiceService.recoverData,
    requestDeserialize: (bytes: Buffer) => decodeStrict(RecoverDataRequest, bytes),
  },
};

export function backupHandlers(
  api: GatewayApi,
  contextOf: (call: ServerCall) => CallContext,
): Handlers<typeof BACKUP_SERVICE> {
  return {
    triggerBackup: async ({ id, day, table }, call) =>
      backupResponse(await api.backupTable(table, { id, day, waits: true }, contextOf(call))),
    recoverData: async ({ table, force_overwrite, recovery_mode }, call) => {
      if (recovery_mode?.$case === 'node_id') throw nodeRecoveryUnsupported();
      if (recovery_mode !== undefined) throw partialRecoveryUnsupported();
      const mode = force_overwrite ? 'replace' : 'empty';
      const wanted = { backup: '', target: '', mode, waits: true } as const;
      return recoverResponse(await api.restoreTable(table, wanted, contextOf(call)));
    },
  };
}
