import { readFileSync } from 'node:fs';
import type { ChainableCommander, Redis } from 'ioredis';
import { classifyRedisError } from './errors.ts';

/**
 * The Lua verbs, one file each beside the TypeScript that calls it. A verb's head names its KEYS, ARGV and answers.
 * Rules for all of them: CONTRIBUTING.md, "A Lua verb".
 */
const VERBS = {
  put: '../queue/put.lua',
  seal: '../queue/seal.lua',
  readSeal: '../queue/read-seal.lua',
  revoke: '../queue/revoke.lua',
  look: '../queue/look.lua',
  askFlush: '../queue/ask-flush.lua',
  lookCommits: '../queue/look-commits.lua',
  recount: '../queue/recount.lua',
  commit: '../index/commit.lua',
  snapshot: '../index/snapshot.lua',
  entries: '../index/entries.lua',
  plan: '../index/plan.lua',
  swap: '../index/swap.lua',
  collect: '../index/collect.lua',
  pin: '../index/pin.lua',
  adopt: '../index/adopt.lua',
  createTable: '../table/create.lua',
  reserveTable: '../table/reserve.lua',
  reserveForUser: '../table/reserve-for-user.lua',
  describeTable: '../table/describe.lua',
  alterTable: '../table/alter.lua',
  applyFile: '../table/apply.lua',
  intendDrop: '../table/intend-drop.lua',
  dropTable: '../table/drop.lua',
  noteSwept: '../table/note-swept.lua',
  heartbeat: '../placement/heartbeat.lua',
  settle: '../queue/settle.lua',
} as const;

export type Verb = keyof typeof VERBS;

const LUA_SOURCES: ReadonlyMap<Verb, string> = new Map(
  Object.entries(VERBS).map(([verb, path]) => [
    verb as Verb,
    readFileSync(new URL(path, import.meta.url), 'utf8'),
  ]),
);

/** Arguments of Lua are bytes: numbers go as decimal text. */
export type LuaArgument = string | number | Buffer;

type VerbCommand = (keyCount: number, ...keysAndArguments: LuaArgument[]) => Promise<unknown>;

const commandName = (verb: Verb) => `miniodb_${verb}`;

export function defineScripts(redis: Redis): void {
  for (const [verb, lua] of LUA_SOURCES) redis.defineCommand(commandName(verb), { lua });
}

/** Runs a verb by itself. Throws a MiniodbError; whether it was applied is then unknown unless the verb only reads. */
export async function runVerb(
  redis: Redis,
  verb: Verb,
  keys: readonly string[],
  args: readonly LuaArgument[],
): Promise<unknown> {
  const commands = redis as unknown as Record<string, VerbCommand>;
  try {
    return await commands[commandName(verb)]!(keys.length, ...keys, ...args);
  } catch (error) {
    throw classifyRedisError(error);
  }
}

/** Adds a verb to a MULTI or pipeline. */
export function addVerb(
  commander: ChainableCommander,
  verb: Verb,
  keys: readonly string[],
  args: readonly LuaArgument[],
): void {
  const commands = commander as unknown as Record<string, VerbCommand>;
  void commands[commandName(verb)]!(keys.length, ...keys, ...args);
}
