import { z } from 'zod';
import { fileEntrySchema } from '../index/file-entry.ts';
import { parseBatchMeta } from '../queue/batch-meta.ts';
import { MiniodbError } from '../runtime/errors.ts';
import { sha256Of } from '../storage/sha256.ts';
import { inheritedFields, resolveConfig, type TableConfig, type TableConfigInput } from '../table/config.ts';
import { encodeKeyPart } from '../table/key-codec.ts';
import { MIXED_DAY } from '../table/keys.ts';
import { parseObjectKey } from '../table/object-name.ts';
import { SHARDS_MAX } from '../table/shard.ts';
import { isBackupId } from './names.ts';

/** Bumped when older versions could not restore from it any more. */
const BACKUP_FORMAT = 1;

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const shard = z.string().regex(/^s\d{2,4}$/);
const count = z.int().nonnegative();

const fileSchema = z.object({
  shard,
  day: z.string().regex(/^(\d{4}-\d{2}-\d{2}|~mixed)$/),
  /** As the index had it. Its object's copy is `objects/<its sha256>.parquet`. */
  entry: fileEntrySchema,
});

/** Payloads of pending batches behind each other: `objects/<sha256>.rows.zst`. */
const packSchema = z.object({
  sha256,
  sizeBytes: count,
  batches: z.array(
    z.object({
      id: z.string().min(1).max(100),
      shard,
      offset: count,
      /** queue/batch-meta.ts; its bytes are the length. */
      meta: z.string().max(200),
    }),
  ),
});

const manifestSchema = z.object({
  format: z.literal(BACKUP_FORMAT),
  id: z.string().refine(isBackupId, { error: 'is no id of a backup' }),
  table: z.string().regex(/^[a-z0-9_]{1,64}$/),
  generation: z.string().regex(/^[0-9a-f]+$/),
  /** RFC 3339: the instant that it shows. */
  createdAt: z.string(),
  by: z.string(),
  /** Absent: of the whole table. */
  filter: z.object({ id: z.string().optional(), day: z.string().optional() }).optional(),
  shards: z.int().min(1).max(SHARDS_MAX),
  shardHistory: z.array(z.int().min(1).max(SHARDS_MAX)).min(1),
  /** Whether rows were placed by the names of other tables: then an id says nothing of its shard. */
  isMixed: z.boolean(),
  /** Fields that the table set itself, as its config hash had them. */
  config: z.record(z.string(), z.string()),
  /** Folded name -> `<type>:<name>`, as pairs. */
  schema: z.array(z.tuple([z.string(), z.string()])),
  files: z.array(fileSchema),
  packs: z.array(packSchema),
  totals: z.object({ rows: count, files: count, pendingRows: count, bytes: count }),
});

export type BackupManifest = z.infer<typeof manifestSchema>;
export type BackupFile = z.infer<typeof fileSchema>;
export type BackupPack = z.infer<typeof packSchema>;

/** As the manifest's object has it: with the SHA-256 of the manifest's own text. */
export function encodeManifest(manifest: Omit<BackupManifest, 'format'>): Buffer {
  const text = JSON.stringify({ format: BACKUP_FORMAT, ...manifest });
  return Buffer.from(`{"sha256":"${sha256Of(Buffer.from(text))}","manifest":${text}}\n`);
}

/**
 * Throws `data_corrupted`/`backup_manifest_damaged` for what is not the bytes that were written,
 * `failed_precondition`/`backup_format_unsupported` for what a newer version wrote, and `backup_manifest_invalid` for what
 * no backup says: keys of other tables, sums that do not add up.
 */
export function decodeManifest(bytes: Uint8Array, table: string, backupId: string): BackupManifest {
  const damaged = (why: string, cause?: unknown) =>
    new MiniodbError('data_corrupted', `the manifest of ${backupId} is damaged: ${why}`, {
      code: 'backup_manifest_damaged',
      cause,
    });
  const text = Buffer.from(bytes).toString();
  const match = /^\{"sha256":"([0-9a-f]{64})","manifest":/.exec(text);
  if (match === null || !text.endsWith('}\n')) throw damaged('it does not begin or end as one');
  const body = text.slice(match[0].length, -2);
  if (sha256Of(Buffer.from(body)) !== match[1]) throw damaged('its SHA-256 is another');
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch (error) {
    throw damaged('it is no JSON', error);
  }
  const format = (parsed as { format?: unknown }).format;
  if (format !== BACKUP_FORMAT) {
    throw new MiniodbError(
      'failed_precondition',
      `${backupId} has backup format ${String(format)}; this version reads ${BACKUP_FORMAT}`,
      { code: 'backup_format_unsupported' },
    );
  }
  const checked = manifestSchema.safeParse(parsed);
  if (!checked.success) {
    const issue = checked.error.issues[0]!;
    throw invalid(backupId, `${issue.path.join('.')}: ${issue.message}`);
  }
  const flaw = flawOf(checked.data, table, backupId);
  if (flaw !== undefined) throw invalid(backupId, flaw);
  return checked.data;
}

function invalid(backupId: string, why: string): MiniodbError {
  return new MiniodbError('data_corrupted', `the manifest of ${backupId} is not valid: ${why}`, {
    code: 'backup_manifest_invalid',
  });
}

/** A hash proves that nothing changed, not who wrote it: nothing a manifest says may reach beyond its own table. */
function flawOf(manifest: BackupManifest, table: string, backupId: string): string | undefined {
  if (manifest.id !== backupId) return `it is of ${manifest.id}`;
  if (manifest.table !== table) return `it is of table ${manifest.table}`;
  const known = new Set(Array.from({ length: manifest.shards }, (_, n) => `s${String(n).padStart(2, '0')}`));
  let fileRows = 0;
  let bytes = 0;
  const fileKeys = new Set<string>();
  for (const { shard, day, entry } of manifest.files) {
    const name = parseObjectKey(entry.key);
    if (name?.table !== table || name.generation !== manifest.generation) {
      return `${JSON.stringify(entry.key)} is no file of that table`;
    }
    if (name.day !== day) return `${entry.key} is not of ${day}`;
    if (!known.has(shard)) return `${shard} is no shard of a table with ${manifest.shards}`;
    if (!isOwnedRight(name.folder, shard, entry.minId, entry.maxId))
      return `${entry.key} is in a wrong folder`;
    if (!/^[0-9a-f]{64}$/.test(entry.sha256)) return `${entry.key} has no SHA-256`;
    if (!isInteger(entry.minTs) || !isInteger(entry.maxTs)) return `${entry.key} has no bounds`;
    if (fileKeys.has(entry.key)) return `${entry.key} is there twice`;
    fileKeys.add(entry.key);
    fileRows += entry.rows;
    bytes += entry.sizeBytes;
  }
  let pendingRows = 0;
  for (const { batches, sizeBytes } of manifest.packs) {
    for (const { shard, offset, meta } of batches) {
      const batch = parseBatchMeta(meta);
      if (!known.has(shard)) return `${shard} is no shard of a table with ${manifest.shards}`;
      if (offset + batch.bytes > sizeBytes) return 'a batch reaches beyond its pack';
      pendingRows += batch.rows;
    }
    bytes += sizeBytes;
  }
  const { totals } = manifest;
  const isRight =
    totals.files === manifest.files.length &&
    totals.pendingRows === pendingRows &&
    totals.rows === fileRows + pendingRows &&
    totals.bytes === bytes;
  return isRight ? undefined : 'its totals do not add up';
}

function isInteger(text: string): boolean {
  return /^-?\d{1,19}$/.test(text);
}

/** Files that ids share are in a folder of some shard; others in that of their only id. */
function isOwnedRight(folder: string, shard: string, minId: string, maxId: string): boolean {
  if (folder.startsWith('~s')) return folder === `~${shard}`;
  return minId === maxId && encodeKeyPart(minId) === folder;
}

/** The id that a file belongs to alone. */
export function ownerOf({ entry }: BackupFile): string | undefined {
  return parseObjectKey(entry.key)!.folder.startsWith('~s') ? undefined : entry.minId;
}

/** What the table had set itself. Its shards are the manifest's. Throws `table_config_corrupted`. */
export function configOf(manifest: BackupManifest, defaults: TableConfig): TableConfigInput {
  const hash = new Map(Object.entries(manifest.config));
  const resolved = resolveConfig(hash, defaults);
  const inherited = new Set<string>(inheritedFields(hash));
  const own = Object.fromEntries(Object.entries(resolved).filter(([field]) => !inherited.has(field)));
  return { ...(own as TableConfigInput), shards: manifest.shards };
}

/** Whether a file may hold rows of an id or a day. */
export function mayHold({ day, entry }: BackupFile, filter: { id?: string; day?: string }): boolean {
  const { id } = filter;
  if (filter.day !== undefined && day !== MIXED_DAY && day !== filter.day) return false;
  if (filter.day !== undefined && day === MIXED_DAY && !spansDay(entry.minTs, entry.maxTs, filter.day)) {
    return false;
  }
  if (id === undefined) return true;
  if (entry.ids !== undefined) return entry.ids.includes(id);
  return isAtLeast(id, entry.minId) && isAtLeast(entry.maxId, id);
}

const MICROS_PER_DAY = 86_400_000_000n;

/** @param minTs,maxTs microseconds since 1970; @param day `YYYY-MM-DD` */
export function spansDay(minTs: string, maxTs: string, day: string): boolean {
  const start = BigInt(Date.parse(`${day}T00:00:00Z`)) * 1_000n;
  return BigInt(maxTs) >= start && BigInt(minTs) < start + MICROS_PER_DAY;
}

/** In UTF-8 byte order, as bounds of files are. */
function isAtLeast(a: string, b: string): boolean {
  return Buffer.compare(Buffer.from(a), Buffer.from(b)) >= 0;
}
