import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fromBinary } from '@bufbuild/protobuf';
import {
  type DescriptorProto,
  type FieldDescriptorProto,
  FileDescriptorProtoSchema,
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
} from '@bufbuild/protobuf/wkt';
import { WriteBatchRequestView, WriteRequestView } from './gen/miniodb/internal/v1/write_view.ts';
import { OlapServiceService, WriteBatchRequest, WriteRequest } from './gen/olap/v1/olap.ts';
import { olapDescriptorFiles } from './reflection.ts';
import { decodeStruct } from './struct.ts';

/** The wire contract with clients: `number type name`, `?` for proto3 optional, `|` for a member of a oneof. */
const MESSAGES: Readonly<Record<string, readonly string[]>> = {
  WriteRequest: ['1 string table', '2 string id', '3 Timestamp timestamp', '4 Struct payload'],
  WriteResponse: ['1 bool success', '2 string message'],
  QueryRequest: ['1 string sql'],
  QueryResponse: ['1 string result_json'],
  TriggerBackupRequest: ['1 string id', '2 string day', '20 string table'],
  TriggerBackupResponse: ['1 bool success', '2 string message', '3 int32 files_backed_up'],
  RecoverDataRequest: [
    '1 string| node_id',
    '2 IdRangeFilter| id_range',
    '3 TimeRangeFilter| time_range',
    '4 bool force_overwrite',
    '20 string table',
  ],
  IdRangeFilter: ['1 string[] ids', '2 string id_pattern'],
  TimeRangeFilter: ['1 string start_date', '2 string end_date', '3 string[] ids'],
  RecoverDataResponse: [
    '1 bool success',
    '2 string message',
    '3 int32 files_recovered',
    '4 string[] recovered_keys',
  ],
  HealthCheckRequest: [],
  HealthCheckResponse: [
    '1 string status',
    '2 string timestamp',
    '3 string version',
    '4 map<string,string> details',
  ],
  GetStatsRequest: [],
  GetStatsResponse: [
    '1 string timestamp',
    '2 map<string,int64> buffer_stats',
    '3 map<string,int64> redis_stats',
    '4 map<string,int64> minio_stats',
  ],
  GetNodesRequest: [],
  GetNodesResponse: ['1 NodeInfo[] nodes', '2 int32 total'],
  NodeInfo: ['1 string id', '2 string status', '3 string type', '4 string address', '5 int64 last_seen'],
  CreateTableRequest: ['1 string table_name', '2 TableConfig config', '3 bool if_not_exists'],
  CreateTableResponse: ['1 bool success', '2 string message'],
  DropTableRequest: ['1 string table_name', '2 bool if_exists', '3 bool cascade'],
  DropTableResponse: ['1 bool success', '2 string message', '3 int32 files_deleted'],
  ListTablesRequest: ['1 string pattern'],
  ListTablesResponse: ['1 TableInfo[] tables', '2 int32 total'],
  DescribeTableRequest: ['1 string table_name'],
  DescribeTableResponse: [
    '1 TableInfo table_info',
    '2 TableStats stats',
    '20 ColumnInfo[] columns',
    '21 int64 pending_rows',
    '22 int64 pending_bytes',
  ],
  ColumnInfo: ['1 string name', '2 string type'],
  TableInfo: [
    '1 string name',
    '2 TableConfig config',
    '3 string created_at',
    '4 string last_write',
    '5 string status',
    '20 string[] inherited',
  ],
  TableConfig: [
    '1 int32? buffer_size',
    '2 int32? flush_interval_seconds',
    '3 int32? retention_days',
    '4 bool? backup_enabled',
    '5 map<string,string> properties',
    '20 int32? shards',
    '21 int32? flush_workers',
    '22 int64? max_flush_rows',
    '23 string? layout',
    '24 string? ack',
    '25 bool? keep_raw_payload',
    '26 int64? max_pending_bytes',
    '27 string? type_conflict',
    '28 bool? flush_paused',
    '29 bool? compaction_enabled',
  ],
  TableStats: [
    '1 int64 record_count',
    '2 int64 file_count',
    '3 int64 size_bytes',
    '4 string oldest_record',
    '5 string newest_record',
  ],
  WriteBatchRequest: [
    '1 string table',
    '2 BatchRow[] rows',
    '3 bytes ndjson',
    '4 string batch_id',
    '5 Ack ack',
    '6 bytes arrow_ipc',
    '7 Compression compression',
    '8 bool skip_invalid',
  ],
  BatchRow: ['1 string id', '2 Timestamp timestamp', '3 Struct payload', '4 bytes payload_json'],
  WriteBatchResponse: [
    '1 int64 accepted',
    '2 int64 rejected',
    '3 RowError[] errors',
    '4 bool duplicate',
    '5 string position',
    '6 Ack ack',
    '7 string batch_id',
  ],
  RowError: ['1 int64 index', '2 string code', '3 string message'],
  QueryStreamRequest: ['1 string sql', '2 QueryFormat format', '3 Value[] params', '4 string position'],
  QueryStreamResponse: ['1 bytes data', '2 QueryStats stats'],
  QueryStats: [
    '1 int64 row_count',
    '2 double elapsed_ms',
    '3 int64 files_read',
    '4 int64 bytes_read',
    '5 int64 pending_rows',
  ],
  UpdateTableRequest: [
    '1 string table_name',
    '2 TableConfig config',
    '3 FieldMask update_mask',
    '4 string status',
  ],
  UpdateTableResponse: ['1 bool success', '2 string message', '3 TableInfo table_info'],
};

const ENUMS: Readonly<Record<string, readonly string[]>> = {
  Ack: ['0 DEFAULT', '1 QUEUED', '2 DURABLE', '3 COMMITTED'],
  Compression: ['0 NONE', '1 GZIP', '2 ZSTD'],
  QueryFormat: ['0 ARROW_IPC', '1 NDJSON', '2 CSV', '3 PARQUET'],
};

const METHODS = [
  'Write WriteRequest WriteResponse',
  'Query QueryRequest QueryResponse',
  'TriggerBackup TriggerBackupRequest TriggerBackupResponse',
  'RecoverData RecoverDataRequest RecoverDataResponse',
  'HealthCheck HealthCheckRequest HealthCheckResponse',
  'GetStats GetStatsRequest GetStatsResponse',
  'GetNodes GetNodesRequest GetNodesResponse',
  'CreateTable CreateTableRequest CreateTableResponse',
  'DropTable DropTableRequest DropTableResponse',
  'ListTables ListTablesRequest ListTablesResponse',
  'DescribeTable DescribeTableRequest DescribeTableResponse',
  'WriteBatch WriteBatchRequest WriteBatchResponse',
  'WriteStream stream WriteBatchRequest stream WriteBatchResponse',
  'QueryStream QueryStreamRequest stream QueryStreamResponse',
  'UpdateTable UpdateTableRequest UpdateTableResponse',
];

const files = olapDescriptorFiles().map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
const olap = files.find((file) => file.name === 'olap/v1/olap.proto')!;

function typeName(message: DescriptorProto, field: FieldDescriptorProto): string {
  const short = (field.typeName ?? '').split('.').at(-1)!;
  const entry = message.nestedType.find(
    (nested) => nested.options?.mapEntry === true && nested.name === short,
  );
  if (entry !== undefined) {
    const [key, value] = entry.field.map((part) => typeName(entry, part));
    return `map<${key},${value}>`;
  }
  const base = field.typeName === '' ? Type[field.type]!.toLowerCase() : short;
  if (field.label === Label.REPEATED) return `${base}[]`;
  if (field.proto3Optional) return `${base}?`;
  return field.oneofIndex !== undefined && hasOneof(field) ? `${base}|` : base;
}

/** The index of a field outside every oneof reads as 0, too. */
function hasOneof(field: FieldDescriptorProto): boolean {
  return Object.hasOwn(field, 'oneofIndex');
}

describe('olap.v1', () => {
  assert.equal(olap.package, 'olap.v1');

  test('has exactly the messages that clients know', () => {
    assert.deepEqual(olap.messageType.map((message) => message.name).sort(), Object.keys(MESSAGES).sort());
  });

  for (const message of olap.messageType) {
    test(`${message.name} has the field numbers and types that clients send`, () => {
      const fields = message.field.map(
        (field) => `${field.number} ${typeName(message, field)} ${field.name}`,
      );
      assert.deepEqual(fields, MESSAGES[message.name]);
    });
  }

  test('its enums have the numbers that clients send', () => {
    const enums = olap.enumType.map((type) => [
      type.name,
      type.value.map((value) => `${value.number} ${value.name}`),
    ]);
    assert.deepEqual(Object.fromEntries(enums), ENUMS);
  });

  test('OlapService has its methods, and the generated code their paths', () => {
    const [service] = olap.service;
    const short = (name: string) => name.replace('.olap.v1.', '');
    const methods = service!.method.map((method) =>
      [
        method.name,
        method.clientStreaming ? `stream ${short(method.inputType)}` : short(method.inputType),
        method.serverStreaming ? `stream ${short(method.outputType)}` : short(method.outputType),
      ].join(' '),
    );
    assert.deepEqual(methods, METHODS);
    const paths = Object.values(OlapServiceService).map((method) => method.path);
    assert.deepEqual(
      paths,
      service!.method.map((method) => `/olap.v1.OlapService/${method.name}`),
    );
  });

  test('what reflection serves has nothing of the internal services in it', () => {
    assert.deepEqual(
      files.filter((file) => file.package.startsWith('miniodb')),
      [],
    );
  });
});

describe('the gateway’s views of writes', () => {
  const payload = { text: 'grüße', number: -0.5, list: [true, null, { deep: [] }] };
  const timestamp = { seconds: -62_135_596_800n, nanos: 999_999_999 };

  test('a WriteRequest reads the same through its view', () => {
    const bytes = WriteRequest.encode({ table: 't', id: 'i', timestamp, payload }).finish();
    const view = WriteRequestView.decode(bytes);
    assert.deepEqual(
      { ...view, payload: decodeStruct(view.payload!) },
      { table: 't', id: 'i', timestamp, payload },
    );
  });

  test('a WriteBatchRequest reads the same through its view', () => {
    const request = {
      table: 't',
      rows: [{ id: 'i', timestamp, payload, payload_json: Buffer.from('{}') }],
      ndjson: Buffer.from('n'),
      batch_id: 'b',
      ack: 3 as const,
      arrow_ipc: Buffer.from('a'),
      compression: 2 as const,
      skip_invalid: true,
    };
    const view = WriteBatchRequestView.decode(Buffer.from(WriteBatchRequest.encode(request).finish()));
    const rows = view.rows.map((row) => ({ ...row, payload: decodeStruct(row.payload!) }));
    assert.deepEqual({ ...view, rows }, request);
  });
});
