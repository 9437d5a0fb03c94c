import type { Command } from 'commander';
import { addTableConfig } from './table-config.ts';
import { addTableCreate } from './table-create.ts';
import { addTableDescribe, addTableStats } from './table-describe.ts';
import { addTableDrop } from './table-drop.ts';
import { addTableFlush } from './table-flush.ts';
import { addTableList } from './table-list.ts';

export function addTableCommand(program: Command): void {
  const table = program.command('table').description('Make, look at, change, flush and drop tables');
  addTableCreate(table);
  addTableList(table);
  addTableDescribe(table);
  addTableStats(table);
  addTableConfig(table);
  addTableFlush(table);
  addTableDrop(table);
}
