import { printable } from './terminal.ts';

const MIB = 1_048_576;
const NUMBER = new Intl.NumberFormat('en-US', { maximumFractionDigits: 1 });

/** With separators, for people. */
export function formatNumber(value: number): string {
  return NUMBER.format(value);
}

export function formatMib(bytes: number): string {
  if (bytes > 0 && bytes < MIB / 10) return '<0.1 MiB';
  return `${NUMBER.format(bytes / MIB)} MiB`;
}

/** RFC 3339 in UTC to the second, as a table of people has room for. */
export function formatTime(text: string): string {
  return /^(\d{4,}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d+)?Z$/.test(text)
    ? text.replace(/(\.\d+)?Z$/, 'Z').replace('T', ' ')
    : text;
}

export function count(value: number, what: string): string {
  return `${formatNumber(value)} ${what}${value === 1 ? '' : 's'}`;
}

/** One line of data: nothing in it moves the cursor, or turns the direction of what follows. */
export function cellText(text: string): string {
  return printable(text.replace(/\s*\n\s*/g, ' ')).replace(
    /[\u2028\u2029\u202a-\u202e\u2066-\u2069]/g,
    '\ufffd',
  );
}

/**
 * The same JSON without characters that a terminal obeys. JSON itself has no others than these bare, and they stand in
 * strings only.
 */
export function escapedJson(text: string): string {
  return text.replace(/[\u007f-\u009f]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Label and value, the values under each other. */
export function renderFields(fields: readonly (readonly [label: string, value: string])[]): string {
  const width = Math.max(0, ...fields.map(([label]) => label.length));
  return fields
    .map(([label, value]) => `${label.padEnd(width)}  ${cellText(value)}`.trimEnd().concat('\n'))
    .join('');
}
