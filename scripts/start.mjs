/** `npm start`: a whole cluster on this machine. Takes the arguments of `miniodb dev` (try --help). */
import { become, ensureInstalled, requireNode } from './workspace.mjs';

requireNode();
ensureInstalled();
become('apps/cli/src/main.ts', ['dev', ...process.argv.slice(2)]);
