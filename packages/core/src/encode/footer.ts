/** The key-value metadata of one file: the job's own, and which part of how many it is (1-based). */
export function footerOf(
  footer: Readonly<Record<string, string>>,
  part: number,
  parts: number,
): Readonly<Record<string, string>> {
  return { ...footer, 'miniodb.part': String(part), 'miniodb.parts': String(parts) };
}
