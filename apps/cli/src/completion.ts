import type { Command, Option } from 'commander';
import { bashScript } from './completion-bash.ts';
import { zshScript } from './completion-zsh.ts';
import { Output } from './output.ts';

/** One command of the tree, as the scripts need it. */
export interface CompletionNode {
  /** Words from the program on, without it: `table create`; the program itself is the empty string. */
  readonly path: string;
  readonly commands: readonly string[];
  readonly options: readonly CompletionOption[];
  /** Choices of the first argument. */
  readonly choices: readonly string[];
}

export interface CompletionOption {
  /** `--name`. */
  readonly flag: string;
  readonly takes: 'nothing' | 'file' | 'value';
  readonly choices: readonly string[];
}

const SHELLS = { bash: bashScript, zsh: zshScript };

export function addCompletionCommand(program: Command): void {
  const completion = program
    .command('completion')
    .description('Print a script that completes this command line in a shell')
    .addHelpText(
      'after',
      `
Examples:
  source <(miniodb completion bash)
  miniodb completion zsh > "\${fpath[1]}/_miniodb"
`,
    );
  completion.addArgument(completion.createArgument('<shell>', 'which one').choices(Object.keys(SHELLS)));
  completion.action(async (shell: keyof typeof SHELLS) => {
    await new Output(process.stdout, process.stderr).write(SHELLS[shell](nodesOf(program, '')));
  });
}

function nodesOf(command: Command, path: string): readonly CompletionNode[] {
  const node = {
    path,
    commands: command.commands.map((child) => child.name()),
    options: command.createHelp().visibleOptions(command).flatMap(optionOf),
    choices: command.registeredArguments[0]?.argChoices ?? [],
  };
  const children = command.commands.flatMap((child) => nodesOf(child, `${path} ${child.name()}`.trim()));
  return [node, ...children];
}

function optionOf(option: Option): readonly CompletionOption[] {
  if (option.long === undefined) return [];
  const choices = option.argChoices ?? [];
  if (!option.required && !option.optional) return [{ flag: option.long, takes: 'nothing', choices }];
  const isFile = /<(file|path)>/.test(option.flags);
  return [{ flag: option.long, takes: isFile ? 'file' : 'value', choices }];
}
