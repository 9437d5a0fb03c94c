import { isRawNumber, rawNumber } from '@miniodb/core/table/exact-json.ts';
import { unexpected } from './client-answers.ts';

export type Row = Readonly<Record<string, unknown>>;

/** The rows of a result, with numbers as they were written: a double holds neither 2^53 + 1 nor 1.10. */
export function parseRows(resultJson: string): readonly Row[] {
  let rows: unknown;
  try {
    rows = JSON.parse(resultJson, keepNumbers);
  } catch (error) {
    throw unexpected('result_json is not JSON', error);
  }
  if (!Array.isArray(rows)) throw unexpected('result_json is not an array');
  return rows as Row[];
}

/** A value as one text; null is undefined. */
export function textOf(value: unknown): string | undefined {
  if (value === null || value === undefined) return undefined;
  if (typeof value === 'string') return value;
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** A parameter of a query: JSON where it is a scalar in JSON (5, true, null, "text in quotes"), else the text itself. */
export function parseParam(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text, keepNumbers);
    return typeof value === 'object' && value !== null && !isRawNumber(value) ? text : value;
  } catch {
    return text;
  }
}

function keepNumbers(_key: string, value: unknown, context?: { source?: string }): unknown {
  if (typeof value !== 'number') return value;
  const source = context!.source!; // every primitive has one
  return String(value) === source ? value : rawNumber(source);
}
