import { Command, CommanderError } from 'commander';
import { addDevCommand, runDev } from './dev.ts';
import { EXIT } from './exit-codes.ts';

const program = new Command('miniodb')
  .description('MinIODB: rows in over gRPC and REST, sorted Parquet on S3, SQL out')
  .helpCommand(false)
  .exitOverride();
addDevCommand(program, async (options) => {
  process.exitCode = await runDev(options);
});

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  // Commander has said what is wrong; asking for help is not.
  process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage;
}
// Connections that fetch keeps open for a while must not hold up the end.
process.exit();
