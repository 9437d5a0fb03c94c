/**
 * Breaks of the protocol, one at a time, and the test that must go red for each. `npm run test:mutations` applies them
 * and fails when one goes unnoticed. `from` must occur exactly once in the file.
 */
export interface Mutation {
  readonly step: string;
  readonly breaks: string;
  readonly file: string;
  readonly from: string;
  readonly to: string;
  readonly testFile: string;
  /** Pattern of the test's name. */
  readonly test: string;
}
