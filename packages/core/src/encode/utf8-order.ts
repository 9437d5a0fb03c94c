/**
 * Orders texts as their UTF-8 bytes are ordered, as DuckDB and Parquet's statistics do. JavaScript's own order goes by
 * UTF-16 code units and differs where a surrogate meets U+E000 to U+FFFF. Encoding every text first costs a copy of
 * it; looking only at the first code unit that differs does not.
 */
export function compareUtf8(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    const unitA = a.charCodeAt(at);
    const unitB = b.charCodeAt(at);
    if (unitA !== unitB) return rank(unitA) - rank(unitB);
  }
  return a.length - b.length;
}

/** Surrogates stand for characters beyond U+FFFF, so they come after every other code unit. */
function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x1_0000 : unit;
}
