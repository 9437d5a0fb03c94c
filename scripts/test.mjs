/** `npm test`: every check of the repository. What it takes: see run-tests.mjs. */
import { become, ensureInstalled, requireNode } from './workspace.mjs';

requireNode();
ensureInstalled();
become('scripts/run-tests.mjs', process.argv.slice(2));
