import type { Command } from 'commander';
import { addDataBackup } from './data-backup.ts';
import { addDataBackups } from './data-backups.ts';
import { addDataCleanup } from './data-cleanup.ts';
import { addDataCount, addDataSize } from './data-count.ts';
import { addDataRestore } from './data-restore.ts';

export function addDataCommand(program: Command): void {
  const data = program.command('data').description('Look at, clean up and look after the rows of a table');
  addDataCount(data);
  addDataSize(data);
  addDataCleanup(data);
  addDataBackup(data);
  addDataBackups(data);
  addDataRestore(data);
}
