declare module 'hashring' {
  export default class HashRing {
    constructor(
      servers: Readonly<Record<string, { vnodes: number }>>,
      algorithm?: string,
      options?: Readonly<Record<string, unknown>>,
    );
    get(key: string): string;
  }
}
