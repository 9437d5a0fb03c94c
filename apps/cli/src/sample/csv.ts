/**
 * Reads RFC 4180 CSV with a header line: an object of strings for each record, empty fields left out. Quoted fields
 * may hold commas, doubled quotes and line ends.
 */
export function* readCsv(text: string): Generator<Record<string, string>> {
  const records = readRecords(text);
  const header = records.next().value;
  if (header === undefined) return;
  for (const record of records) {
    const fields = record.map((value, index) => [header[index], value] as const);
    yield Object.fromEntries(fields.filter(([, value]) => value !== ''));
  }
}

function* readRecords(text: string): Generator<string[], undefined> {
  // A field is quoted or bare; what ends it says whether the record goes on.
  const field = /(?:"((?:[^"]|"")*)"|([^,"\r\n]*))(,|\r?\n|$)/y;
  let record: string[] = [];
  while (field.lastIndex < text.length || record.length > 0) {
    const start = field.lastIndex;
    const match = field.exec(text);
    if (match === null) throw new Error(`not CSV at character ${start}`);
    const [, quoted, bare, end] = match;
    record.push(quoted?.replaceAll('""', '"') ?? bare ?? '');
    if (end === ',') continue;
    yield record;
    record = [];
  }
}
