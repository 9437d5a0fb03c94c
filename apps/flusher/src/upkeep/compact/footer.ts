import type { TableRef } from '@miniodb/core/index/plan.ts';

/** Bytes of a list in a footer, which every query of the file reads. What is longer is left out: the swap's log has the inputs. */
const LIST_BYTES_MAX = 256 * 1024;

type Footer = Readonly<Record<string, string>>;

/** What the footer of a rewritten file says: where it belongs, and all that its inputs were made of. */
export function mergedFooter(
  ref: TableRef,
  shard: string,
  planId: string,
  inputs: readonly Footer[],
): Footer {
  const seals = union(inputs, 'miniodb.seals', (text) => text.split(','))?.join(',');
  const batches = union(inputs, 'miniodb.batches', (text) => JSON.parse(text) as string[]);
  const batchesText = batches && JSON.stringify(batches);
  const sealedMs = Math.max(0, ...inputs.map((footer) => Number(footer['miniodb.sealed_ms'] ?? '0')));
  return {
    'miniodb.format': newestFormat(inputs),
    'miniodb.table': ref.table,
    'miniodb.generation': ref.generation,
    'miniodb.shard': shard,
    'miniodb.shards': String(ref.shards),
    'miniodb.plan': planId,
    'miniodb.sealed_ms': String(sealedMs),
    ...(seals !== undefined && seals.length <= LIST_BYTES_MAX && { 'miniodb.seals': seals }),
    ...(batchesText !== undefined &&
      batchesText.length <= LIST_BYTES_MAX && { 'miniodb.batches': batchesText }),
  };
}

/** Undefined when an input does not have its list any more: half a list would pass for a whole one. */
function union(
  inputs: readonly Footer[],
  key: string,
  parse: (text: string) => readonly string[],
): string[] | undefined {
  const all = new Set<string>();
  for (const footer of inputs) {
    const text = footer[key];
    if (text === undefined) return undefined;
    for (const each of parse(text)) all.add(each);
  }
  return Array.from(all);
}

function newestFormat(inputs: readonly Footer[]): string {
  return String(Math.max(...inputs.map((footer) => Number(footer['miniodb.format'] ?? '1'))));
}
