import { MiniodbError } from '../runtime/errors.ts';

/** Keys of a configuration file from its top down; lists have numbers. */
export type Path = readonly (string | number)[];

/** Where something of a configuration file stands; both count from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

export interface Problem {
  /** `config.yaml:12:5`, `MINIODB_GRPC_PORT` or `--grpc-port`. */
  readonly where: string;
  /** `tables.users.buffer_size`; empty where the place says it all. */
  readonly path: string;
  readonly message: string;
  /** Default: `invalid_config`. Start refuses with the code of the first problem that has one. */
  readonly code?: string;
}

/** More of them help nobody; the rest is counted. */
const LISTED_MAX = 50;

/** Of the end of a place in a file. */
const POSITION = /:(\d+):(\d+)$/;

/** What has no line first, then from the top of the file down. */
export function inFileOrder(problems: readonly Problem[]): Problem[] {
  const rank = ({ where }: Problem) => {
    const match = POSITION.exec(where);
    return match === null ? -1 : Number(match[1]) * 1e6 + Number(match[2]);
  };
  return problems.toSorted((a, b) => rank(a) - rank(b));
}

/** As they are, but each once: what several readers look at is wrong for each of them. */
export function distinctProblems(problems: readonly Problem[]): Problem[] {
  return [...new Map(problems.map((problem) => [problemText(problem), problem])).values()];
}

export function pathText(path: Path): string {
  return path.join('.');
}

export function problemText({ where, path, message }: Problem): string {
  return [where, path, message].filter((part) => part !== '').join(': ');
}

/** One error for all of them, a line each: `invalid_argument`/`invalid_config`, or the code that a problem brings. */
export function configError(problems: readonly Problem[]): MiniodbError {
  const code = problems.find((problem) => problem.code !== undefined)?.code ?? 'invalid_config';
  const lines = inFileOrder(problems).slice(0, LISTED_MAX).map(problemText);
  if (problems.length > LISTED_MAX) lines.push(`and ${problems.length - LISTED_MAX} more`);
  const head = problems.length === 1 ? 'configuration' : `configuration: ${problems.length} problems`;
  return new MiniodbError('invalid_argument', `${head}:\n${lines.map((line) => `  ${line}`).join('\n')}`, {
    code,
    details: { problems: lines },
  });
}
