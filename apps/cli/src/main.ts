import { Command, CommanderError } from 'commander';
import { addCompletionCommand } from './completion.ts';
import { addConfigCommands } from './config.ts';
import { addDataCommand } from './data.ts';
import { addDevCommand, runDev } from './dev.ts';
import { EXIT, EXIT_HELP } from './exit-codes.ts';
import { addHealthCommand } from './health.ts';
import { addMonitorCommand } from './monitor.ts';
import { addQueryCommand } from './query.ts';
import { addTableCommand } from './table.ts';
import { addTokenCommand } from './token.ts';

const program = new Command('miniodb')
  .description('MinIODB: rows in over gRPC and REST, sorted Parquet on S3, SQL out')
  .helpCommand(false)
  .addHelpText('after', EXIT_HELP)
  .exitOverride();
addDevCommand(program, async (options) => {
  process.exitCode = await runDev(options);
});
addTableCommand(program);
addDataCommand(program);
addQueryCommand(program);
addHealthCommand(program);
addMonitorCommand(program);
addTokenCommand(program);
addConfigCommands(program, ({ out, error, exitCode }) => {
  process.stdout.write(out);
  process.stderr.write(error);
  process.exitCode = exitCode;
});
addCompletionCommand(program);

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  // Commander has said what is wrong; asking for help is not.
  process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage;
}
// Connections that fetch keeps open for a while must not hold up the end.
process.exit();
