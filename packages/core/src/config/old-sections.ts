import { shown } from './check.ts';
import type { Path } from './problem.ts';
import type { FileReader, Mapping } from './reader.ts';

/** A value of the file for a setting, and where it stands. */
export interface FileValue {
  readonly value: unknown;
  readonly path: Path;
}

/** Keys that say what happens anyway, or whose feature is not there, by section; what else is unknown warns too. */
const NO_EFFECT: Readonly<Record<string, readonly string[]>> = {
  log: ['format', 'output'],
  monitoring: ['enabled', 'path'],
};
const AS_IT_IS: Readonly<Record<string, unknown>> = {
  'log.format': 'json',
  'log.output': 'stdout',
  'monitoring.enabled': true,
  'monitoring.path': '/metrics',
};

/** Keys that are read together, below. */
const REDIS_PARTS: readonly string[] = ['mode', 'addr', 'password', 'db'];
const MINIO_PARTS: readonly string[] = [
  'endpoint',
  'access_key_id',
  'secret_access_key',
  'use_ssl',
  'region',
  'bucket',
];
/** Spelled as numbers or as Go's addresses: 8080 or ":8080". */
const PORT_KEYS: ReadonlySet<string> = new Set(['server.grpc_port', 'server.rest_port', 'monitoring.port']);

export const OLD_SECTIONS: readonly string[] = ['redis', 'minio', 'server', 'backup', 'log', 'monitoring'];

/**
 * The sections of the time before tables, under their old names. What they no longer mean is a warning: a file that
 * worked must go on working. @param isSetting whether a dotted path is a setting of today
 */
export function readOldSections(
  reader: FileReader,
  isSetting: (path: string) => boolean,
): Map<string, FileValue> {
  const values = new Map<string, FileValue>();
  if (reader.root.backup !== undefined) reader.warn(['backup'], 'has no effect in this version');
  for (const name of OLD_SECTIONS) {
    if (name === 'backup') continue;
    for (const [key, given] of Object.entries(reader.section(name))) {
      const dotted = `${name}.${key}`;
      // An empty text was the way to leave something out.
      if (given === '' || given === null) continue;
      if (isSetting(dotted)) values.set(dotted, { value: modern(dotted, given), path: [name, key] });
      else if (!isPart(name, key)) warnOf(reader, name, key, given);
    }
  }
  composeRedis(reader, values);
  composeMinio(reader, values);
  return values;
}

function isPart(section: string, key: string): boolean {
  return (
    (section === 'redis' && REDIS_PARTS.includes(key)) || (section === 'minio' && MINIO_PARTS.includes(key))
  );
}

function warnOf(reader: FileReader, section: string, key: string, given: unknown): void {
  const isKnown = NO_EFFECT[section]?.includes(key) === true;
  if (isKnown && AS_IT_IS[`${section}.${key}`] === given) return;
  reader.warn([section, key], isKnown ? 'has no effect in this version' : 'is unknown and has no effect');
}

function modern(dotted: string, given: unknown): unknown {
  if (PORT_KEYS.has(dotted) && typeof given === 'string') {
    const port = /^:?(\d{1,5})$/.exec(given)?.[1];
    return port === undefined ? given : Number(port);
  }
  if (dotted === 'log.level' && typeof given === 'string') {
    const level = given.toLowerCase();
    return level === 'warning' ? 'warn' : level;
  }
  return given;
}

/** mode, addr, password and db are one URL today. */
function composeRedis(reader: FileReader, values: Map<string, FileValue>): void {
  const redis = reader.section('redis');
  const given = REDIS_PARTS.filter((key) => isGiven(redis, key));
  if (given.length === 0) return;
  if (values.has('redis.url')) {
    reader.warn(['redis', given[0]!], 'has no effect: redis.url is there too');
    return;
  }
  const mode = redis.mode || 'single';
  if (!['single', 'standalone'].includes(String(mode))) {
    reader.problem(
      ['redis', 'mode'],
      `${shown(mode)} is not supported by this version: single or standalone`,
    );
  }
  const addr = redis.addr || 'localhost:6379';
  const host =
    typeof addr === 'string' ? /^(?:([^\s:/@]+)|(\[[0-9a-fA-F:]+\]))?(?::(\d{1,5}))?$/.exec(addr) : null;
  if (host === null) {
    reader.problem(['redis', 'addr'], 'is not an address such as localhost:6379');
    return;
  }
  const db = redis.db ?? 0;
  if (!Number.isInteger(db) || Number(db) < 0 || Number(db) > 65_535) {
    reader.problem(['redis', 'db'], `${shown(db)} is not a whole number from 0 to 65535`);
    return;
  }
  const password = redis.password ?? '';
  if (typeof password !== 'string') {
    reader.problem(['redis', 'password'], 'is not text: write it in quotes');
    return;
  }
  const login = password === '' ? '' : `:${encodeURIComponent(password)}@`;
  const url = `redis://${login}${host[1] ?? host[2] ?? 'localhost'}:${host[3] ?? '6379'}/${db}`;
  values.set('redis.url', { value: url, path: ['redis', given[0]!] });
}

/** endpoint, use_ssl, region and bucket are one URL today; the keys stay settings of their own. */
function composeMinio(reader: FileReader, values: Map<string, FileValue>): void {
  const minio = reader.section('minio');
  const given = ['endpoint', 'bucket', 'region', 'use_ssl'].filter((key) => isGiven(minio, key));
  if (given.length === 0 || values.has('minio.url')) return;
  if (isGiven(reader.section('store'), 'url')) {
    reader.warn(['minio', given[0]!], 'has no effect: store.url is there too');
    return;
  }
  const { endpoint = '', use_ssl: useSsl = false, region = '', bucket } = minio;
  if (typeof useSsl !== 'boolean') {
    reader.problem(['minio', 'use_ssl'], `${shown(useSsl)} is not true or false`);
    return;
  }
  const url = new URL(`s3://${typeof bucket === 'string' && bucket !== '' ? bucket : 'olap-data'}`);
  if (typeof endpoint !== 'string' || typeof region !== 'string' || (bucket && typeof bucket !== 'string')) {
    reader.problem(['minio'], 'endpoint, region and bucket are texts');
    return;
  }
  if (endpoint !== '') {
    const full = /^https?:\/\//.test(endpoint) ? endpoint : `${useSsl ? 'https' : 'http'}://${endpoint}`;
    url.searchParams.set('endpoint', full);
    url.searchParams.set('path_style', 'true');
  }
  if (region !== '') url.searchParams.set('region', region);
  values.set('minio.url', { value: url.href, path: ['minio', given[0]!] });
}

function isGiven(section: Mapping, key: string): boolean {
  return section[key] !== undefined && section[key] !== null && section[key] !== '';
}
