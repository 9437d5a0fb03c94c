import { RESTORE_MODES, type RestoreMode } from '@miniodb/core/backup/requests.ts';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { GatewayApi } from '../api.ts';
import {
  backupJson,
  backupResponse,
  nodeRecoveryUnsupported,
  partialRecoveryUnsupported,
  recoverResponse,
  taskJson,
} from './backup-messages.ts';
import { booleanField, checkKnown, invalid, stringField } from './rest-body.ts';
import type { RouteTools } from './rest-tables.ts';

const PARTS_OF_RECOVERY = ['id_range', 'time_range'];

/** Backups and restores. The answers of both have the task as well, which GET /v1/backups/:id tells of later. */
export function addBackupRoutes(app: FastifyInstance, api: GatewayApi, tools: RouteTools): void {
  const { call, object, checkJson, refuseOtherMethods } = tools;
  const onRequest = async (request: FastifyRequest) => checkJson(request);

  app.route({
    method: 'POST',
    url: '/v1/backup/trigger',
    onRequest,
    handler: async (request, reply) => {
      checkKnown(request.query as object, [], 'parameter');
      const body = await object(request);
      checkKnown(body, ['table', 'id', 'day', 'wait'], 'field');
      const wanted = {
        id: stringField(body, 'id', ''),
        day: stringField(body, 'day', ''),
        waits: booleanField(body, 'wait', true),
      };
      const table = stringField(body, 'table', '');
      const task = await call(request, reply, (context) => api.backupTable(table, wanted, context));
      return { ...backupResponse(task), task: taskJson(task) };
    },
  });
  refuseOtherMethods('/v1/backup/trigger', ['POST']);

  app.route({
    method: 'POST',
    url: '/v1/backup/recover',
    onRequest,
    handler: async (request, reply) => {
      checkKnown(request.query as object, [], 'parameter');
      const body = await object(request);
      checkKnown(
        body,
        ['table', 'force_overwrite', 'node_id', 'backup', 'target', 'mode', 'wait', ...PARTS_OF_RECOVERY],
        'field',
      );
      if ((body.node_id ?? '') !== '') throw nodeRecoveryUnsupported();
      if (PARTS_OF_RECOVERY.some((part) => (body[part] ?? undefined) !== undefined)) {
        throw partialRecoveryUnsupported();
      }
      const wanted = {
        backup: stringField(body, 'backup', ''),
        target: stringField(body, 'target', ''),
        mode: modeOf(body),
        waits: booleanField(body, 'wait', true),
      };
      const table = stringField(body, 'table', '');
      const task = await call(request, reply, (context) => api.restoreTable(table, wanted, context));
      return { ...recoverResponse(task), task: taskJson(task) };
    },
  });
  refuseOtherMethods('/v1/backup/recover', ['POST']);

  app.get('/v1/backups/:id', async (request, reply) => {
    checkKnown(request.query as object, [], 'parameter');
    const { id } = request.params as { id: string };
    return taskJson(await call(request, reply, (context) => api.lookAtTask(id, context)));
  });
  refuseOtherMethods('/v1/backups/:id', ['GET', 'HEAD']);

  app.get('/v1/tables/:name/backups', async (request, reply) => {
    checkKnown(request.query as object, [], 'parameter');
    const { name } = request.params as { name: string };
    const backups = await call(request, reply, (context) => api.listBackups(name, context));
    return { backups: backups.map(backupJson), total: backups.length };
  });
  refuseOtherMethods('/v1/tables/:name/backups', ['GET', 'HEAD']);
}

/** `mode` says it all; `force_overwrite` is its older form. */
function modeOf(body: Record<string, unknown>): RestoreMode {
  const overwrites = booleanField(body, 'force_overwrite');
  const text = stringField(body, 'mode', overwrites ? 'replace' : 'empty');
  const mode = RESTORE_MODES.find((known) => known === text);
  if (mode === undefined) throw invalid('invalid_field', `mode must be one of ${RESTORE_MODES.join(', ')}`);
  if (overwrites && mode !== 'replace') {
    throw invalid('invalid_field', 'force_overwrite and mode say different things');
  }
  return mode;
}
