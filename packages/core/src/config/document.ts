import { readFileSync, statSync } from 'node:fs';
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  visit,
  type YAMLError,
} from 'yaml';
import { MiniodbError } from '../runtime/errors.ts';
import type { Path, Position, Problem } from './problem.ts';

/** A configuration of ten thousand tables is smaller. */
const FILE_BYTES_MAX = 1_048_576;
/** Deeper than anything that has a meaning; the parser and we go through the file recursively. */
const DEPTH_MAX = 20;
/** Nodes that aliases may stand for, together: enough for settings that tables share, nothing to blow up. */
const ALIASED_NODES_MAX = 1_000;

const TOO_DEEP = `nested more than ${DEPTH_MAX} levels deep`;
const STACK_EXHAUSTED = /call stack|stack overflow/i;

/** A YAML file as plain values that know where they stood. */
export interface ConfigDocument {
  /** As it was named. */
  readonly file: string;
  /** Undefined when the file is empty or cannot be read as YAML. */
  readonly value: unknown;
  readonly problems: readonly Problem[];
  /** Of a key, or of what a list holds; of the nearest above it when the path leads nowhere. */
  positionOf(path: Path): Position;
}

/** Throws `not_found`/`config_file_not_found` or `invalid_argument`/`config_file_unreadable`. */
export function readConfigFile(file: string): ConfigDocument {
  try {
    const stat = statSync(file);
    if (!stat.isFile()) throw unreadable(file, 'it is not a file');
    if (stat.size > FILE_BYTES_MAX) {
      throw unreadable(file, `it has ${stat.size} bytes; at most ${FILE_BYTES_MAX} are read`);
    }
    return parseConfigDocument(file, new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(file)));
  } catch (error) {
    if (error instanceof MiniodbError) throw error;
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new MiniodbError('not_found', `there is no configuration file ${file}`, {
        code: 'config_file_not_found',
        cause: error,
      });
    }
    throw unreadable(file, error instanceof TypeError ? 'it is not UTF-8' : (error as Error).message, error);
  }
}

export function parseConfigDocument(file: string, text: string): ConfigDocument {
  const lines = new LineCounter();
  const at = (offset: number): Position => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const problems: Problem[] = [];
  const say = (offset: number, message: string) => {
    const { line, column } = at(offset);
    problems.push({ where: `${file}:${line}:${column}`, path: '', message });
  };
  const unreadableValue = () => ({ file, value: undefined, problems, positionOf: () => at(0) });

  const tooDeep = flowDepthBeyond(text, DEPTH_MAX);
  if (tooDeep !== undefined) {
    for (let newline = text.indexOf('\n'); newline !== -1; newline = text.indexOf('\n', newline + 1)) {
      lines.addNewLine(newline + 1);
    }
    say(tooDeep, TOO_DEEP);
    return unreadableValue();
  }
  // Without prettyErrors the messages are one line and keep their place, which is then said in our way.
  const options = { lineCounter: lines, prettyErrors: false, uniqueKeys: true, merge: false } as const;
  const document = parseDocument(text, options);
  const flaws = [...document.errors, ...document.warnings];
  // The parser reports its own exhausted stack as errors like others, at every level it unwinds.
  const exhausted = flaws.findLast(({ message }) => STACK_EXHAUSTED.test(message));
  if (exhausted !== undefined) {
    say(exhausted.pos[0], TOO_DEEP);
    return unreadableValue();
  }
  for (const flaw of flaws) say(flaw.pos[0], yamlMessage(flaw));
  visit(document, {
    Node(_, node, ancestors) {
      if (ancestors.length / 2 <= DEPTH_MAX) return undefined;
      say(node.range?.[0] ?? 0, TOO_DEEP);
      return visit.BREAK;
    },
    Pair(_, { key }) {
      if (isScalar(key) && typeof key.value === 'string') return;
      const offset = (key as Node | null)?.range?.[0] ?? 0;
      say(offset, 'a key must be text: write it in quotes');
    },
  });
  if (problems.length > 0) return unreadableValue();
  try {
    const value: unknown = document.toJS({ maxAliasCount: ALIASED_NODES_MAX });
    if (isDeeper(value, DEPTH_MAX)) {
      // Only what an alias brings is not seen above: its own self, for example.
      say(0, TOO_DEEP);
      return unreadableValue();
    }
    return { file, value, problems, positionOf: (path) => at(offsetOf(document, path)) };
  } catch (error) {
    // Aliases of nothing, or of more nodes than are let through.
    say(0, (error as Error).message);
    return unreadableValue();
  }
}

function yamlMessage(error: YAMLError): string {
  if (error.code === 'DUPLICATE_KEY') return 'this key stands here twice';
  if (error.code === 'TAB_AS_INDENT') return 'a tab cannot indent: use spaces';
  if (error.code === 'MULTIPLE_DOCS') return 'a second document begins here: there is one in a file';
  return error.message;
}

/** Where brackets are nested deeper than that; quotes are not looked at, since nobody nests brackets in text so deep. */
function flowDepthBeyond(text: string, depthMax: number): number | undefined {
  let depth = 0;
  for (let offset = 0; offset < text.length; offset += 1) {
    const char = text[offset];
    if (char === '[' || char === '{') depth += 1;
    else if (char === ']' || char === '}') depth -= 1;
    if (depth > depthMax * 2) return offset;
  }
  return undefined;
}

/** Stops at the first branch that is: the value may hold itself. */
function isDeeper(value: unknown, levelsMax: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levelsMax === 0 || Object.values(value).some((inner) => isDeeper(inner, levelsMax - 1));
}

function offsetOf(document: Document.Parsed, path: Path): number {
  let node: unknown = document.contents;
  let offset = 0;
  for (const step of path) {
    if (isAlias(node)) node = node.resolve(document);
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && key.value === step);
      if (pair === undefined) break;
      offset = (pair.key as Node).range?.[0] ?? offset;
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(step)];
      if (node === undefined) break;
      offset = (node as Node).range?.[0] ?? offset;
    } else break;
  }
  return offset;
}

function unreadable(file: string, why: string, cause?: unknown): MiniodbError {
  return new MiniodbError('invalid_argument', `configuration file ${file}: ${why}`, {
    code: 'config_file_unreadable',
    cause,
  });
}
