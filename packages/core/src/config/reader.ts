import { shown } from './check.ts';
import type { ConfigDocument } from './document.ts';
import { type Path, type Problem, pathText } from './problem.ts';

export type Mapping = Readonly<Record<string, unknown>>;

/** What the sections of one file are read with: it knows where things stand and collects what is wrong. */
export class FileReader {
  readonly file: string;
  readonly root: Mapping;
  readonly problems: Problem[];
  readonly warnings: Problem[] = [];
  readonly #document: ConfigDocument;

  constructor(document: ConfigDocument) {
    this.#document = document;
    this.file = document.file;
    this.problems = [...document.problems];
    this.root = this.mapping([], document.value) ?? {};
  }

  /** `config.yaml:12:5` */
  where(path: Path): string {
    const { line, column } = this.#document.positionOf(path);
    return `${this.file}:${line}:${column}`;
  }

  /** As where, for what the file itself says; undefined for what it does not. */
  origin(path: Path): string | undefined {
    let at: unknown = this.root;
    for (const step of path) {
      if (typeof at !== 'object' || at === null || !Object.hasOwn(at, step)) return undefined;
      at = (at as Record<string | number, unknown>)[step];
    }
    return this.where(path);
  }

  problem(path: Path, message: string): void {
    this.problems.push({ where: this.where(path), path: pathText(path), message });
  }

  warn(path: Path, message: string): void {
    this.warnings.push({ where: this.where(path), path: pathText(path), message });
  }

  /** Undefined, and a problem, for anything but a mapping; what was left empty is an empty one. */
  mapping(path: Path, value: unknown): Mapping | undefined {
    if (value === null || value === undefined) return {};
    if (typeof value === 'object' && !Array.isArray(value)) return value as Mapping;
    this.problem(path, `${shown(value)} is not a mapping of names to values`);
    return undefined;
  }

  section(name: string): Mapping {
    return this.mapping([name], Object.hasOwn(this.root, name) ? this.root[name] : undefined) ?? {};
  }
}
