import { SQL_TYPES } from '@miniodb/core/table/schema.ts';
import type * as olap from '@miniodb/proto/gen/olap/v1/olap.ts';
import type { CleanupReceipt, NodeInfo, StatsReport, TableDescription, TableInfo } from '../api.ts';

/**
 * What the gateway tells of tables and nodes, as the messages of olap.v1. Over REST the same with numbers for int64, so
 * the JSON forms are what is written down here, and the messages are made from them.
 */
export function tableInfoJson(info: TableInfo) {
  return {
    name: info.name,
    config: info.config,
    created_at: info.createdAt,
    last_write: info.lastWrite,
    status: info.status,
    inherited: [...info.inherited],
  };
}

export function tableInfoMessage(info: TableInfo): olap.TableInfo {
  const { max_flush_rows, max_pending_bytes, ...config } = info.config;
  return {
    ...tableInfoJson(info),
    config: {
      ...config,
      max_flush_rows: BigInt(max_flush_rows),
      max_pending_bytes: BigInt(max_pending_bytes),
    },
  };
}

export function descriptionJson({ info, stats, columns }: TableDescription) {
  return {
    table_info: tableInfoJson(info),
    stats: {
      record_count: stats.recordCount,
      file_count: stats.fileCount,
      size_bytes: stats.sizeBytes,
      oldest_record: stats.oldestRecord,
      newest_record: stats.newestRecord,
    },
    columns: columns.map(({ name, type }) => ({ name, type: SQL_TYPES[type] })),
    pending_rows: stats.pendingRows,
    pending_bytes: stats.pendingBytes,
  };
}

export function descriptionMessage(description: TableDescription): olap.DescribeTableResponse {
  const { stats, columns, pending_rows, pending_bytes } = descriptionJson(description);
  return {
    table_info: tableInfoMessage(description.info),
    stats: {
      ...stats,
      record_count: BigInt(stats.record_count),
      file_count: BigInt(stats.file_count),
      size_bytes: BigInt(stats.size_bytes),
    },
    columns,
    pending_rows: BigInt(pending_rows),
    pending_bytes: BigInt(pending_bytes),
  };
}

export function statsJson({ buffer, redis, store }: StatsReport, now: Date) {
  return { timestamp: now.toISOString(), buffer_stats: buffer, redis_stats: redis, minio_stats: store };
}

export function statsMessage({ buffer, redis, store }: StatsReport, now: Date): olap.GetStatsResponse {
  return {
    timestamp: now.toISOString(),
    buffer_stats: bigints(buffer),
    redis_stats: bigints(redis),
    minio_stats: bigints(store),
  };
}

function bigints(numbers: Readonly<Record<string, number>>): Record<string, bigint> {
  return Object.fromEntries(Object.entries(numbers).map(([name, value]) => [name, BigInt(value)]));
}

export function cleanupJson(receipt: CleanupReceipt) {
  const { before, dryRun, files, rows, bytes, filesLeft, rowsLeft, pendingRows } = receipt;
  return {
    success: true,
    message: cleanupMessage(receipt),
    dry_run: dryRun,
    before,
    files,
    rows,
    bytes,
    files_left: filesLeft,
    rows_left: rowsLeft,
    pending_rows: pendingRows,
  };
}

/** Why older rows stay; empty when none do. */
function cleanupMessage({ dryRun, filesLeft, rowsLeft, pendingRows }: CleanupReceipt): string {
  const reasons: string[] = [];
  if (filesLeft > 0) {
    reasons.push(
      `${filesLeft} files hold rows from before and after that time: they stay whole, ${rowsLeft} rows, until their newest row is older`,
    );
  }
  if (pendingRows > 0) {
    reasons.push(
      dryRun
        ? `${pendingRows} rows are pending in batches with older rows: they are flushed first`
        : `${pendingRows} rows are pending still in batches with older rows`,
    );
  }
  return reasons.join('; ');
}

export function nodesJson(nodes: readonly NodeInfo[]) {
  return {
    nodes: nodes.map(({ id, status, type, address, lastSeen }) => ({
      id,
      status,
      type,
      address,
      last_seen: lastSeen,
    })),
    total: nodes.length,
  };
}

export function nodesMessage(nodes: readonly NodeInfo[]): olap.GetNodesResponse {
  const { total, nodes: told } = nodesJson(nodes);
  return { total, nodes: told.map((node) => ({ ...node, last_seen: BigInt(node.last_seen) })) };
}
