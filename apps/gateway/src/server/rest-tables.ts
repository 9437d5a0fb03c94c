import type { FastifyInstance, FastifyReply, FastifyRequest, HTTPMethods } from 'fastify';
import type { CallContext, GatewayApi } from '../api.ts';
import { booleanField, checkKnown, invalid, stringField } from './rest-body.ts';
import { changeOf, configOfJson, configWithNulls } from './table-config.ts';
import { cleanupJson, descriptionJson, nodesJson, statsJson, tableInfoJson } from './table-messages.ts';

/** What all routes of the data API are made with (rest-routes.ts). */
export interface RouteTools {
  call<T>(request: FastifyRequest, reply: FastifyReply, work: (call: CallContext) => Promise<T>): Promise<T>;
  /** The body as a JSON object, within the limits. */
  object(request: FastifyRequest): Promise<Record<string, unknown>>;
  /** Refuses bodies that do not say that they are JSON, before they are read. */
  checkJson(request: FastifyRequest): void;
  refuseOtherMethods(url: string, allowed: readonly HTTPMethods[]): void;
}

/** Tables as such, and the cluster. */
export function addTableRoutes(app: FastifyInstance, api: GatewayApi, tools: RouteTools): void {
  const { call, object, checkJson, refuseOtherMethods } = tools;
  const onRequest = async (request: FastifyRequest) => checkJson(request);

  app.route({
    method: 'POST',
    url: '/v1/tables',
    onRequest,
    handler: async (request, reply) => {
      checkKnown(request.query as object, [], 'parameter');
      const body = await object(request);
      checkKnown(body, ['table_name', 'config', 'if_not_exists'], 'field');
      const table = stringField(body, 'table_name');
      const ifNotExists = booleanField(body, 'if_not_exists');
      const config = configOfJson(body.config);
      await call(request, reply, (context) => api.createTable(table, config, ifNotExists, context));
      return { success: true, message: '' };
    },
  });

  app.get('/v1/tables', async (request, reply) => {
    const pattern = stringField(parametersOf(request, ['pattern']), 'pattern', '');
    const tables = await call(request, reply, (context) => api.listTables(pattern, context));
    return { tables: tables.map(tableInfoJson), total: tables.length };
  });
  refuseOtherMethods('/v1/tables', ['GET', 'HEAD', 'POST']);

  app.get('/v1/tables/:name', async (request, reply) => {
    parametersOf(request, []);
    return descriptionJson(
      await call(request, reply, (context) => api.describeTable(nameOf(request), context)),
    );
  });

  app.route({
    method: 'PATCH',
    url: '/v1/tables/:name',
    onRequest,
    handler: async (request, reply) => {
      parametersOf(request, []);
      const body = await object(request);
      checkKnown(body, ['config', 'status', 'update_mask'], 'field');
      const status = stringField(body, 'status', '');
      const change = changeOf(configWithNulls(body.config), maskOf(body.update_mask), status);
      const info = await call(request, reply, (context) => api.updateTable(nameOf(request), change, context));
      return { success: true, message: '', table_info: tableInfoJson(info) };
    },
  });

  app.delete('/v1/tables/:name', async (request, reply) => {
    const parameters = parametersOf(request, ['if_exists', 'cascade']);
    const options = { ifExists: flag(parameters, 'if_exists'), cascade: flag(parameters, 'cascade') };
    const receipt = await call(request, reply, (context) => api.dropTable(nameOf(request), options, context));
    return { success: true, message: '', files_deleted: receipt.filesDeleted };
  });
  refuseOtherMethods('/v1/tables/:name', ['GET', 'HEAD', 'PATCH', 'DELETE']);

  app.route({
    method: 'POST',
    url: '/v1/tables/:name/cleanup',
    onRequest,
    handler: async (request, reply) => {
      parametersOf(request, []);
      const body = await object(request);
      checkKnown(body, ['older_than', 'dry_run'], 'field');
      const wanted = {
        olderThan: stringField(body, 'older_than'),
        dryRun: booleanField(body, 'dry_run'),
      };
      return cleanupJson(
        await call(request, reply, (context) => api.cleanupTable(nameOf(request), wanted, context)),
      );
    },
  });
  refuseOtherMethods('/v1/tables/:name/cleanup', ['POST']);

  app.route({
    method: 'POST',
    url: '/v1/tables/:name/flush',
    onRequest,
    handler: async (request, reply) => {
      parametersOf(request, []);
      const body = Buffer.isBuffer(request.body) && request.body.length > 0 ? await object(request) : {};
      checkKnown(body, ['wait'], 'field');
      const waits = booleanField(body, 'wait', true);
      const receipt = await call(request, reply, (context) =>
        api.flushTable(nameOf(request), waits, context),
      );
      const { message, pendingRows, flushed } = receipt;
      return { success: true, message, pending_rows: pendingRows, flushed };
    },
  });
  refuseOtherMethods('/v1/tables/:name/flush', ['POST']);

  app.get('/v1/stats', async (request, reply) => {
    parametersOf(request, []);
    return statsJson(await call(request, reply, (context) => api.stats(context)), new Date());
  });
  refuseOtherMethods('/v1/stats', ['GET', 'HEAD']);

  app.get('/v1/nodes', async (request, reply) => {
    parametersOf(request, []);
    return nodesJson(await call(request, reply, (context) => api.nodes(context)));
  });
  refuseOtherMethods('/v1/nodes', ['GET', 'HEAD']);
}

function nameOf(request: FastifyRequest): string {
  return (request.params as { name: string }).name;
}

function parametersOf(request: FastifyRequest, known: readonly string[]): Record<string, unknown> {
  const parameters = request.query as Record<string, unknown>;
  checkKnown(parameters, known, 'parameter');
  return parameters;
}

function flag(parameters: Record<string, unknown>, name: string): boolean {
  const text = stringField(parameters, name, 'false');
  if (text === 'true' || text === 'false') return text === 'true';
  throw invalid('invalid_field', `${name} must be true or false`);
}

/** A list of paths, or (as protobuf's JSON has it) one text with commas; null and absent: no mask. */
function maskOf(value: unknown): readonly string[] | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'string') return value.split(',').filter((path) => path !== '');
  if (Array.isArray(value) && value.every((path) => typeof path === 'string')) return value;
  throw invalid('invalid_field', 'update_mask must be a list of strings');
}
