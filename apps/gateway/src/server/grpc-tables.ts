import { decodeStrict } from '@miniodb/proto/decode.ts';
import {
  CreateTableRequest,
  DropTableRequest,
  OlapServiceService,
  UpdateTableRequest,
} from '@miniodb/proto/gen/olap/v1/olap.ts';
import type { Handlers, ServerCall } from '@miniodb/proto/service.ts';
import type { CallContext, GatewayApi } from '../api.ts';
import { refusalMessage } from './errors.ts';
import { changeOf, configOfMessage } from './table-config.ts';
import { descriptionMessage, nodesMessage, statsMessage, tableInfoMessage } from './table-messages.ts';

/** The methods on tables as such, and on the cluster. What they carry is text that must not change on the way. */
export const TABLES_SERVICE = {
  createTable: {
    ...OlapServiceService.createTable,
    requestDeserialize: (bytes: Buffer) => decodeStrict(CreateTableRequest, bytes),
  },
  dropTable: {
    ...OlapServiceService.dropTable,
    requestDeserialize: (bytes: Buffer) => decodeStrict(DropTableRequest, bytes),
  },
  updateTable: {
    ...OlapServiceService.updateTable,
    requestDeserialize: (bytes: Buffer) => decodeStrict(UpdateTableRequest, bytes),
  },
  listTables: OlapServiceService.listTables,
  describeTable: OlapServiceService.describeTable,
  getStats: OlapServiceService.getStats,
  getNodes: OlapServiceService.getNodes,
};

export function tableHandlers(
  api: GatewayApi,
  contextOf: (call: ServerCall) => CallContext,
): Handlers<typeof TABLES_SERVICE> {
  return {
    createTable: async (request, call) => {
      const config = configOfMessage(request.config);
      return refusable(api.createTable(request.table_name, config, request.if_not_exists, contextOf(call)));
    },
    dropTable: async ({ table_name, if_exists, cascade }, call) => {
      let files_deleted = 0;
      const drop = async () => {
        const options = { ifExists: if_exists, cascade };
        files_deleted = (await api.dropTable(table_name, options, contextOf(call))).filesDeleted;
      };
      return { ...(await refusable(drop())), files_deleted };
    },
    listTables: async ({ pattern }, call) => {
      const tables = await api.listTables(pattern, contextOf(call));
      return { tables: tables.map(tableInfoMessage), total: tables.length };
    },
    describeTable: async ({ table_name }, call) =>
      descriptionMessage(await api.describeTable(table_name, contextOf(call))),
    updateTable: async ({ table_name, config, update_mask, status }, call) => {
      const change = changeOf(configOfMessage(config), update_mask, status);
      const info = await api.updateTable(table_name, change, contextOf(call));
      return { success: true, message: '', table_info: tableInfoMessage(info) };
    },
    getStats: async (_request, call) => statsMessage(await api.stats(contextOf(call)), new Date()),
    getNodes: async (_request, call) => nodesMessage(await api.nodes(contextOf(call))),
  };
}

/** A business refusal is an answer. */
export async function refusable(work: Promise<unknown>): Promise<{ success: boolean; message: string }> {
  try {
    await work;
    return { success: true, message: '' };
  } catch (error) {
    return { success: false, message: refusalMessage(error) };
  }
}
