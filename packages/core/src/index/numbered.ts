/** Distinct texts in order, numbered from 1 as Lua counts. */
export function numbered(texts: readonly string[]): Map<string, number> {
  const numbers = new Map<string, number>();
  for (const text of texts) if (!numbers.has(text)) numbers.set(text, numbers.size + 1);
  return numbers;
}
