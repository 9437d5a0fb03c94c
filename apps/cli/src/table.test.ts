import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TABLE_CONFIG_FIELDS } from '@miniodb/core/table/config.ts';
import { Command } from 'commander';
import { tableProblems } from './health.ts';
import { tableLines } from './monitor-views.ts';
import { changeOf } from './table-config.ts';
import { addSettingOptions, fieldNamed, settingsOf, showSetting } from './table-settings.ts';

function parse(...args: string[]) {
  const command = new Command().exitOverride().configureOutput({ writeErr: () => {} });
  addSettingOptions(command).parse(args, { from: 'user' });
  return settingsOf(command.opts());
}

const CONFIG = { max_pending_bytes: 1_048_576, flush_paused: false, properties: { owner: 'a', b: 'c' } };
const info = (fields: object = {}) => ({
  name: 'logs',
  config: CONFIG,
  inherited: [],
  created_at: '2026-01-01T00:00:00Z',
  last_write: '',
  status: 'active',
  ...fields,
});
const description = (fields: object = {}, more: object = {}) => ({
  table_info: info(fields),
  stats: { record_count: 10, file_count: 1, size_bytes: 2_097_152, oldest_record: '', newest_record: '' },
  columns: [],
  pending_rows: 4,
  pending_bytes: 524_288,
  ...more,
});

test('every field of TableConfig has its option', () => {
  const all = parse(
    ...['--buffer-size=5', '--flush-interval=1m30s', '--retention-days=forever', '--backup-enabled=false'],
    ...['--property=a=b=c', '--property', 'd=', '--shards=4', '--flush-workers=2', '--max-flush-rows=7'],
    ...['--layout=id', '--ack=queued', '--keep-raw-payload=true', '--max-pending-bytes=64MiB'],
    ...['--type-conflict=reject', '--flush-paused=true', '--compaction-enabled=false'],
  );
  assert.deepEqual(all, {
    buffer_size: 5,
    flush_interval_seconds: 90,
    retention_days: -1,
    backup_enabled: false,
    properties: { a: 'b=c', d: '' },
    shards: 4,
    flush_workers: 2,
    max_flush_rows: 7,
    layout: 'id',
    ack: 'queued',
    keep_raw_payload: true,
    max_pending_bytes: 67_108_864,
    type_conflict: 'reject',
    flush_paused: true,
    compaction_enabled: false,
  });
  assert.deepEqual(Object.keys(all).sort(), [...TABLE_CONFIG_FIELDS].sort());
  assert.deepEqual(parse(), {});
  assert.deepEqual(parse('--retention-days', '-1'), { retention_days: -1 });
});

test('a value that is none is refused before anything is asked', () => {
  for (const option of [
    '--buffer-size=many',
    '--buffer-size=1.5',
    '--flush-interval=30',
    '--flush-interval=1500ms',
    '--backup-enabled=yes',
    '--layout=wide',
    '--max-pending-bytes=1TB',
    '--property=owner',
    '--property==x',
  ]) {
    assert.throws(() => parse(option), { code: 'commander.invalidArgument' }, option);
  }
});

test('a field is found by the name of the API and by its option', () => {
  const names = ['buffer_size', 'buffer-size', '--buffer-size', 'flush-interval', 'flush_interval_seconds'];
  assert.deepEqual(names.map(fieldNamed), [
    'buffer_size',
    'buffer_size',
    'buffer_size',
    'flush_interval_seconds',
    'flush_interval_seconds',
  ]);
  assert.equal(fieldNamed('properties'), 'properties');
  assert.equal(fieldNamed('nothing'), undefined);
});

test('settings are shown with their units', () => {
  assert.equal(showSetting('flush_interval_seconds', 3_600), '3,600 s');
  assert.equal(showSetting('retention_days', -1), 'for ever');
  assert.equal(showSetting('retention_days', 1), '1 day');
  assert.equal(showSetting('max_pending_bytes', 268_435_456), '256 MiB');
  assert.equal(showSetting('properties', { a: 'b' }), '{"a":"b"}');
  assert.equal(showSetting('a_later_one', 5), '5');
});

test('a changed property leaves the others, and what is unset is null', () => {
  const wanted = { set: {}, unset: [], unsetProperties: [], status: undefined };
  const json = (change: object) => JSON.parse(JSON.stringify(change)) as unknown;
  assert.deepEqual(json(changeOf({ ...wanted, set: { shards: 4 }, unset: ['ack'] }, undefined)), {
    config: { shards: 4, ack: null },
  });
  assert.deepEqual(json(changeOf({ ...wanted, set: { properties: { owner: 'b', new: '' } } }, info())), {
    config: { properties: { owner: 'b', b: 'c', new: '' } },
  });
  assert.deepEqual(json(changeOf({ ...wanted, unsetProperties: ['owner'], status: 'archived' }, info())), {
    config: { properties: { b: 'c' } },
    status: 'archived',
  });
});

test('a table is well unless it is being deleted, or is active and full', () => {
  const full = { pending_bytes: 950_000 };
  assert.deepEqual(tableProblems(description()), []);
  assert.deepEqual(tableProblems(description({ status: 'archived' }, full)), []);
  assert.deepEqual(tableProblems(description({ status: 'deleting' })), ['table logs is deleting']);
  assert.deepEqual(tableProblems(description({ config: { ...CONFIG, flush_paused: true } }, full)), [
    'table logs refuses writes or soon will: 90 % of max_pending_bytes are taken, and flushing is paused',
  ]);
});

test('a second look at a table says how fast rows come', () => {
  const before = { found: description(), atMs: 1_000 };
  const later = description({}, { stats: { ...description().stats, record_count: 5_010, file_count: 2 } });
  const lines = Object.fromEntries(tableLines({ found: later, atMs: 3_000 }, before));
  assert.equal(lines.change, '+5,000 rows (2,500 a second), +1 file in 2 s');
  assert.equal(lines['pending room'], '50 % of 1 MiB is taken');
  assert.equal(Object.fromEntries(tableLines(before, undefined)).change, undefined);
});
