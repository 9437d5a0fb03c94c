import { randomBytes } from 'node:crypto';
import { MiniodbError } from '../runtime/errors.ts';

/**
 * Where backups are. `~backups` is the name of no table, so nothing else is below it:
 *
 *   ~backups/<table>/backup-20240115-101500-3fa9c1.json    a manifest: it is the backup
 *   ~backups/<table>/objects/<sha256>.parquet              files that manifests name, once each
 *   ~backups/<table>/objects/<sha256>.rows.zst             payloads of rows that were pending
 */
const ROOT = '~backups';
const BACKUP_ID = /^backup-(\d{8})-(\d{6})-([0-9a-f]{6})$/;
/** What people write: a backup's id, or a day or second of which the newest is meant. */
const BACKUP_SPEC = /^backup-\d{8}(?:-\d{6}(?:-[0-9a-f]{6})?)?$/;

export type BackupObjectKind = 'parquet' | 'rows.zst';

/** @param ms since 1970, UTC */
export function newBackupId(ms: number): string {
  const [date, time] = new Date(ms).toISOString().split('T');
  const digits = (text: string) => text.replace(/\D/g, '');
  return `backup-${digits(date!)}-${digits(time!).slice(0, 6)}-${randomBytes(3).toString('hex')}`;
}

export function isBackupId(text: string): boolean {
  return BACKUP_ID.test(text);
}

/** Throws `invalid_backup_id`. The empty string means the newest of all. */
export function checkBackupSpec(spec: string): void {
  if (spec === '' || BACKUP_SPEC.test(spec)) return;
  throw new MiniodbError(
    'invalid_argument',
    `no backup is called ${JSON.stringify(spec.slice(0, 100))}: they are called like backup-20240115-101500-3fa9c1, and backup-20240115 is the newest of that day`,
    { code: 'invalid_backup_id' },
  );
}

/** The newest id that a spec means. @param ids of whole backups, in any order */
export function newestOf(spec: string, ids: readonly string[]): string | undefined {
  // Ids sort by their time; what is left out of a spec is any.
  return ids
    .filter((id) => spec === '' || id === spec || id.startsWith(`${spec}-`))
    .sort()
    .at(-1);
}

export function manifestKey(table: string, backupId: string): string {
  return `${ROOT}/${table}/${backupId}.json`;
}

/** Of the keys of all manifests of a table. */
export function manifestPrefix(table: string): string {
  return `${ROOT}/${table}/backup-`;
}

/** The id of the backup whose manifest it is; undefined for other objects. */
export function backupIdOfKey(key: string): string | undefined {
  const id = /\/(backup-[^/]*)\.json$/.exec(key)?.[1];
  return id !== undefined && isBackupId(id) ? id : undefined;
}

export function objectsPrefix(table: string): string {
  return `${ROOT}/${table}/objects/`;
}

/** @param sha256 of the content, hexadecimal */
export function backupObjectKey(table: string, sha256: string, kind: BackupObjectKind): string {
  return `${objectsPrefix(table)}${sha256}.${kind}`;
}
