import { join } from 'node:path';
import { runProgram } from './static-steps.mjs';
import { root } from './workspace.mjs';

const LINES_PERCENT_MIN = 80;
/** Where Node writes what ran, for every process of the tests that ends by itself; SIGKILL leaves nothing. */
export const coverageDir = join(root, 'coverage/v8');

const PROJECT = ['apps/**/src/**/*.ts', 'packages/**/src/**/*.ts'];
const NOT_MEASURED = ['**/*.test.ts', '**/*.d.ts', '**/gen/**', '**/node_modules/**'];

/**
 * Lines of the sources that ran, in any process. Node only blanks out the types, so positions are those of the files;
 * a file that nothing loaded counts with all its lines as not run. The full table is coverage/lcov.info's.
 */
export const coverageStep = {
  name: 'coverage',
  async run() {
    const args = ['report', '--temp-directory', coverageDir, '--all', '--src', 'apps', '--src', 'packages'];
    for (const pattern of PROJECT) args.push('--include', pattern);
    for (const pattern of NOT_MEASURED) args.push('--exclude', pattern);
    args.push('--extension', '.ts', '--merge-async', '--reporter', 'text', '--reporter', 'lcovonly');
    args.push('--check-coverage', '--lines', String(LINES_PERCENT_MIN));
    const { ok, output } = await runProgram('c8', args);
    // Statements, branches, functions, lines.
    const total = /^All files +(?:\| *[\d.]+ *){3}\| *([\d.]+)/m.exec(output);
    const summary = total === null ? '' : `${total[1]} % of lines, ${LINES_PERCENT_MIN} are needed`;
    return { ok, output, summary };
  },
};
