import { z } from 'zod';
import { hint } from './nearest.ts';
import type { Path } from './problem.ts';

/** What is wrong with a part of a value, by its path within it. */
export interface Flaw {
  readonly path: Path;
  readonly message: string;
}

export type Checked<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly flaws: readonly Flaw[] };

/** Values of a file that are shown in a message are cut here. */
const SHOWN_CHARS_MAX = 60;

/** Checks against a schema; every flaw says what is allowed there. @param secret whether values must not be shown */
export function check<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  secret = false,
): Checked<z.infer<Schema>> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return { ok: true, value: parsed.data };
  return { ok: false, flaws: parsed.error.issues.flatMap((issue) => flawsOf(schema, value, issue, secret)) };
}

function flawsOf(schema: z.ZodType, value: unknown, issue: z.core.$ZodIssue, secret: boolean): Flaw[] {
  const path = issue.path.map((step) => (typeof step === 'symbol' ? String(step) : step));
  if (issue.code === 'unrecognized_keys') {
    const known = Object.keys(shapeOf(schemaAt(schema, path)));
    return issue.keys.map((key) => ({ path: [...path, key], message: unknownKey(key, known) }));
  }
  const inner = schemaAt(schema, path);
  if (issue.code === 'invalid_key') {
    const allowed =
      inner instanceof z.ZodRecord ? describeAllowed(inner.keyType as z.ZodType) : issue.message;
    const name = path.at(-1)!;
    return [{ path, message: `${shown(name)} is no name here: it is ${allowed}` }];
  }
  if (issue.code === 'custom') return [{ path, message: issue.message }];
  const bad = valueAt(value, path);
  if (bad === undefined) return [{ path, message: `is missing: ${describeAllowed(inner)}` }];
  return [{ path, message: `${secret ? 'the value' : shown(bad)} is not ${describeAllowed(inner)}` }];
}

export function unknownKey(key: string, known: Iterable<string>): string {
  return `is unknown${hint(key, known)}`;
}

/** What a schema takes, after "is not". A description of the schema itself goes before what we would say. */
export function describeAllowed(schema: z.ZodType | undefined): string {
  if (schema === undefined) return 'allowed here';
  if (schema.description !== undefined) return schema.description;
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault) {
    return describeAllowed(schema.unwrap() as z.ZodType);
  }
  if (schema instanceof z.ZodEnum) return `one of ${schema.options.join(', ')}`;
  if (schema instanceof z.ZodBoolean) return 'true or false';
  if (schema instanceof z.ZodNumber) {
    const kind = schema.format === 'safeint' ? 'a whole number' : 'a number';
    return `${kind} from ${schema.minValue} to ${schema.maxValue}`;
  }
  if (schema instanceof z.ZodString) return describeText(schema);
  if (schema instanceof z.ZodArray) return `a list, each ${describeAllowed(schema.element as z.ZodType)}`;
  if (schema instanceof z.ZodObject || schema instanceof z.ZodRecord) return 'a mapping of names to values';
  return 'allowed here';
}

function describeText(schema: z.ZodString): string {
  const pattern = schema.def.checks
    ?.map((rule) => rule._zod.def as { readonly pattern?: RegExp })
    .find((rule) => rule.pattern !== undefined)?.pattern;
  if (pattern !== undefined) return `text that matches ${pattern.source}`;
  const { minLength, maxLength } = schema;
  const least = minLength ?? 0;
  if (maxLength !== null) return `text of ${least > 0 ? `${least} to` : 'at most'} ${maxLength} characters`;
  return least > 1 ? `text of at least ${least} characters` : 'text';
}

/** The schema of a part; of a record, that record, when the path ends at one of its keys that is wrong. */
function schemaAt(schema: z.ZodType, path: Path): z.ZodType | undefined {
  let at: z.ZodType | undefined = schema;
  for (const [depth, step] of path.entries()) {
    while (at instanceof z.ZodOptional || at instanceof z.ZodDefault) at = at.unwrap() as z.ZodType;
    if (at instanceof z.ZodObject) at = (at.shape as Record<string, z.ZodType>)[step];
    else if (at instanceof z.ZodArray) at = at.element as z.ZodType;
    else if (at instanceof z.ZodRecord) {
      const isKeyWrong = depth === path.length - 1 && !(at.keyType as z.ZodType).safeParse(step).success;
      if (isKeyWrong) return at;
      at = at.valueType as z.ZodType;
    } else return undefined;
  }
  while (at instanceof z.ZodOptional || at instanceof z.ZodDefault) at = at.unwrap() as z.ZodType;
  return at;
}

function shapeOf(schema: z.ZodType | undefined): Readonly<Record<string, unknown>> {
  return schema instanceof z.ZodObject ? (schema.shape as Record<string, unknown>) : {};
}

function valueAt(value: unknown, path: Path): unknown {
  let at = value;
  for (const step of path) {
    if (typeof at !== 'object' || at === null) return undefined;
    at = (at as Record<string | number, unknown>)[step];
  }
  return at;
}

export function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length <= SHOWN_CHARS_MAX ? text : `${text.slice(0, SHOWN_CHARS_MAX)}…`;
}
