const PART = /(\d{1,9})(ms|s|m|h|d)/y;
const MS_OF: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** Milliseconds of `30s`, `5m`, `1h30m`, `2d` or `1500ms`; undefined for anything else. */
export function durationMs(text: string): number | undefined {
  let ms = 0;
  PART.lastIndex = 0;
  let read = 0;
  while (read < text.length) {
    const part = PART.exec(text);
    if (part === null) return undefined;
    ms += Number(part[1]) * MS_OF[part[2]!]!;
    read = PART.lastIndex;
  }
  return read === 0 ? undefined : ms;
}
