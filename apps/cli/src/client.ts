import { setTimeout as sleep } from 'node:timers/promises';
import { asMiniodbError, type MiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { TableConfig, TableConfigInput } from '@miniodb/core/table/config.ts';
import * as answers from './client-answers.ts';
import { noAnswer, refusal } from './client-errors.ts';

/** The gateway's own limit for an answer is 64 MiB; beyond this somebody else is talking. */
const ANSWER_BYTES_MAX = 256 * 1_048_576;
const ATTEMPTS_MAX = 3;
const RETRY_PAUSE_MS = 200;

export interface Connection {
  /** Without a slash at its end. */
  readonly url: string;
  readonly token?: string | undefined;
  /** Of one call, with everything that is tried again. */
  readonly timeoutMs: number;
}

/** A body, and the text that it came as: for programs that is shown as it is. */
export interface Answer<Body> {
  readonly text: string;
  readonly body: Body;
}

/** A change of a table; a field that is null goes back to the default. */
export interface TableChange {
  readonly config?: { readonly [Field in keyof TableConfig]?: TableConfig[Field] | null | undefined };
  readonly status?: string | undefined;
}

interface Call {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly shape: answers.Shape;
  /** JSON text. */
  readonly send?: string;
  /** Whether it changes something: then a lost answer leaves open what happened. */
  readonly changes: boolean;
  /** Statuses beside 200 whose body is the answer. */
  readonly alsoTaken?: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The REST API of a gateway. Every method throws MiniodbError: `unavailable`/`gateway_unreachable`,
 * `deadline_exceeded`/`no_answer_in_time`, `outcome_unknown`/`outcome_unknown`, `internal`/`unexpected_answer`, and what
 * the gateway refused with, under its code. Only GET is tried again: at most three times, and only where nothing was done.
 */
export class RestClient {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  createTable(
    name: string,
    config: TableConfigInput,
    ifNotExists: boolean,
  ): Promise<Answer<answers.Receipt>> {
    const send = JSON.stringify({ table_name: name, config, if_not_exists: ifNotExists });
    return this.#call({ method: 'POST', path: '/v1/tables', send, changes: true, shape: answers.RECEIPT });
  }

  /** @param pattern a glob; empty: every table */
  listTables(pattern: string, signal?: AbortSignal): Promise<Answer<answers.TableList>> {
    const path = pattern === '' ? '/v1/tables' : `/v1/tables?pattern=${encodeURIComponent(pattern)}`;
    return this.#call({ method: 'GET', path, changes: false, shape: answers.TABLE_LIST, signal });
  }

  describeTable(name: string, signal?: AbortSignal): Promise<Answer<answers.TableDescription>> {
    const path = tablePath(name);
    return this.#call({ method: 'GET', path, changes: false, shape: answers.DESCRIPTION, signal });
  }

  updateTable(
    name: string,
    change: TableChange,
  ): Promise<Answer<{ readonly table_info: answers.TableInfo }>> {
    const send = JSON.stringify(change);
    const path = tablePath(name);
    return this.#call({ method: 'PATCH', path, send, changes: true, shape: answers.CHANGED_TABLE });
  }

  flushTable(name: string, wait: boolean): Promise<Answer<answers.FlushReceipt>> {
    const send = JSON.stringify({ wait });
    const path = `${tablePath(name)}/flush`;
    return this.#call({ method: 'POST', path, send, changes: true, shape: answers.FLUSHED_TABLE });
  }

  dropTable(
    name: string,
    options: { readonly ifExists: boolean; readonly cascade: boolean },
  ): Promise<Answer<{ readonly files_deleted: number }>> {
    const path = `${tablePath(name)}?if_exists=${options.ifExists}&cascade=${options.cascade}`;
    return this.#call({ method: 'DELETE', path, changes: true, shape: answers.DROPPED_TABLE });
  }

  /** @param olderThan an age such as `30d`, or an RFC 3339 time */
  cleanupTable(name: string, olderThan: string, dryRun: boolean): Promise<Answer<answers.Cleanup>> {
    const send = JSON.stringify({ older_than: olderThan, dry_run: dryRun });
    const path = `${tablePath(name)}/cleanup`;
    return this.#call({ method: 'POST', path, send, changes: !dryRun, shape: answers.CLEANUP });
  }

  /** Only asks for it: lookAtTask tells how far it is. */
  backupTable(
    table: string,
    part: { readonly id: string; readonly day: string },
  ): Promise<Answer<answers.AskedTask>> {
    const send = JSON.stringify({ table, ...part, wait: false });
    const path = '/v1/backup/trigger';
    return this.#call({ method: 'POST', path, send, changes: true, shape: answers.ASKED_TASK });
  }

  /** Likewise. @param wanted.backup an id, or a beginning of one, or empty: the newest */
  restoreTable(
    table: string,
    wanted: { readonly backup: string; readonly target: string; readonly mode: string },
  ): Promise<Answer<answers.AskedTask>> {
    const send = JSON.stringify({ table, ...wanted, wait: false });
    const path = '/v1/backup/recover';
    return this.#call({ method: 'POST', path, send, changes: true, shape: answers.ASKED_TASK });
  }

  lookAtTask(id: string): Promise<Answer<answers.Task>> {
    const path = `/v1/backups/${encodeURIComponent(id)}`;
    return this.#call({ method: 'GET', path, changes: false, shape: answers.TASK });
  }

  listBackups(table: string): Promise<Answer<answers.BackupList>> {
    const path = `${tablePath(table)}/backups`;
    return this.#call({ method: 'GET', path, changes: false, shape: answers.BACKUP_LIST });
  }

  /** @param params JSON scalars, numbers that a double does not hold as JSON.rawJSON objects */
  query(
    sql: string,
    params: readonly unknown[] = [],
    signal?: AbortSignal,
  ): Promise<Answer<answers.QueryBody>> {
    const send = JSON.stringify({ sql, params });
    const path = '/v1/query';
    return this.#call({ method: 'POST', path, send, changes: false, shape: answers.QUERY_BODY, signal });
  }

  /** The report of an unhealthy cluster is an answer too. */
  health(): Promise<Answer<answers.Health>> {
    const path = '/v1/health';
    return this.#call({ method: 'GET', path, changes: false, shape: answers.HEALTH, alsoTaken: 503 });
  }

  async #call<Body>(call: Call): Promise<Answer<Body>> {
    const { timeoutMs } = this.#connection;
    const endMs = performance.now() + timeoutMs;
    const deadline = AbortSignal.timeout(timeoutMs);
    const signal = call.signal === undefined ? deadline : AbortSignal.any([call.signal, deadline]);
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#once(call, signal);
      } catch (thrown) {
        const error = asMiniodbError(thrown);
        if (call.method !== 'GET' || attempt === ATTEMPTS_MAX || !mayHelpLater(error)) throw error;
        const pauseMs = error.retryAfterMs ?? RETRY_PAUSE_MS * 2 ** (attempt - 1);
        // What cannot be waited for within the deadline is said at once, by its own name.
        if (performance.now() + pauseMs >= endMs || !(await paused(pauseMs, signal))) throw error;
      }
    }
  }

  async #once<Body>(call: Call, signal: AbortSignal): Promise<Answer<Body>> {
    const { url, token, timeoutMs } = this.#connection;
    let response: Response;
    let text: string;
    try {
      response = await fetch(`${url}${call.path}`, {
        method: call.method,
        headers: {
          accept: 'application/json',
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...(call.send === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(call.send === undefined ? {} : { body: call.send }),
        // A token is for the address that was given.
        redirect: 'manual',
        signal,
      });
      text = await readText(response);
    } catch (error) {
      throw noAnswer(url, error, call.changes, timeoutMs);
    }
    const body = parsed(text);
    if (response.status === call.alsoTaken && isOf(body, call.shape)) return { text, body: body as Body };
    if (response.status !== 200) throw refusal(response.status, response.headers.get('retry-after'), text);
    if (body === undefined) throw answers.unexpected('it is not JSON');
    answers.checkShape(body, call.shape);
    return { text, body: body as Body };
  }
}

function tablePath(name: string): string {
  return `/v1/tables/${encodeURIComponent(name)}`;
}

function mayHelpLater(error: MiniodbError): boolean {
  return error.kind === 'unavailable' || error.kind === 'resource_exhausted';
}

/** @returns false when it was ended before */
async function paused(pauseMs: number, signal: AbortSignal): Promise<boolean> {
  try {
    await sleep(pauseMs, undefined, { signal });
    return true;
  } catch {
    return false;
  }
}

async function readText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > ANSWER_BYTES_MAX) throw new Error(`an answer of more than ${ANSWER_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isOf(body: unknown, shape: answers.Shape): boolean {
  try {
    answers.checkShape(body, shape);
    return true;
  } catch {
    return false;
  }
}
