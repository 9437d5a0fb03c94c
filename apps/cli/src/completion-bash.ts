import type { CompletionNode } from './completion.ts';

/**
 * For bash 3.2 and later, without bash-completion. Readline splits words at `=` (COMP_WORDBREAKS), so an option with
 * its value arrives as three words.
 */
export function bashScript(nodes: readonly CompletionNode[]): string {
  return `# Completion of miniodb for bash: source <(miniodb completion bash)
_miniodb() {
  local current="\${COMP_WORDS[COMP_CWORD]}" option="" path="" word next index
  local words="" values=""
  COMPREPLY=()
  for ((index = 1; index < COMP_CWORD; index++)); do
    word="\${COMP_WORDS[index]}"
    next="\${path:+$path }$word"
    case "$next" in
      ${nodes.flatMap(({ path }) => (path === '' ? [] : [quoted(path)])).join(' | ')}) path="$next" ;;
    esac
  done
  if [[ "$current" == "=" ]]; then
    option="\${COMP_WORDS[COMP_CWORD - 1]}" current=""
  elif ((COMP_CWORD > 1)) && [[ "\${COMP_WORDS[COMP_CWORD - 1]}" == "=" ]]; then
    option="\${COMP_WORDS[COMP_CWORD - 2]}"
  else
    option="\${COMP_WORDS[COMP_CWORD - 1]}"
  fi
  case "$path $option" in
${optionCases(nodes)}
  esac
  case "$path" in
${nodes.map((node) => `    ${quoted(node.path)}) words=${quoted(words(node).join(' '))} values=${quoted([...node.commands, ...node.choices].join(' '))} ;;`).join('\n')}
  esac
  if [[ "$current" == -* ]]; then
    COMPREPLY=($(compgen -W "$words" -- "$current"))
  else
    COMPREPLY=($(compgen -W "$values" -- "$current"))
  fi
}
complete -F _miniodb miniodb ./miniodb
`;
}

function words({ options }: CompletionNode): readonly string[] {
  return options.map(({ flag }) => flag);
}

/** After an option that takes something nothing else is offered. */
function optionCases(nodes: readonly CompletionNode[]): string {
  const cases = nodes.flatMap(({ path, options }) =>
    options.flatMap(({ flag, takes, choices }) => {
      if (takes === 'nothing') return [];
      // Names of files hold blanks, and words of -W are split by the same IFS.
      const offer =
        takes === 'file'
          ? `local IFS=$'\\n'; COMPREPLY=($(compgen -f -- "$current"))`
          : `COMPREPLY=($(compgen -W ${quoted(choices.join(' '))} -- "$current"))`;
      return [`    ${quoted(`${path} ${flag}`)}) ${offer}; return ;;`];
    }),
  );
  return cases.join('\n');
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
