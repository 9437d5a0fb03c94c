/** The part of parquetjs-lite 0.8.7 that the encoder uses; the package has no types. It also throws plain strings. */
declare module 'parquetjs-lite' {
  export interface FieldOptions {
    type: 'BOOLEAN' | 'INT64' | 'DOUBLE' | 'UTF8' | 'JSON' | 'TIMESTAMP_MICROS';
    optional?: boolean;
    compression?: 'GZIP' | 'SNAPPY';
    /** false leaves out min and max. */
    statistics?: boolean;
  }

  export interface Field {
    readonly name: string;
  }

  export class ParquetSchema {
    constructor(fields: Readonly<Record<string, FieldOptions>>);
    readonly fields: Readonly<Record<string, Field>>;
    /** The order of the columns in the file. */
    fieldList: Field[];
  }

  export class ParquetWriter {
    static openFile(schema: ParquetSchema, path: string, options: WriterOptions): Promise<ParquetWriter>;
    readonly envelopeWriter: { readonly rowCount: number };
    setMetadata(key: string, value: string): void;
    appendRow(row: Readonly<Record<string, unknown>>): Promise<void>;
    close(): Promise<void>;
  }

  export interface WriterOptions {
    /** In rows. */
    rowGroupSize: number;
    /** In rows. */
    pageSize: number;
    pageIndex: boolean;
  }
}
