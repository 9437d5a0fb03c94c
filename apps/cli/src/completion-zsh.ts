import type { CompletionNode } from './completion.ts';

/** For zsh 5 with compinit: as a file _miniodb in fpath, or sourced. An option and its value are one word, or two. */
export function zshScript(nodes: readonly CompletionNode[]): string {
  return `#compdef miniodb
# Completion of miniodb for zsh: miniodb completion zsh > "\${fpath[1]}/_miniodb"
_miniodb() {
  local command_path="" word next option
  local -a values options
  for word in "\${(@)words[2,CURRENT-1]}"; do
    next="\${command_path:+$command_path }$word"
    case "$next" in
      (${nodes.flatMap(({ path }) => (path === '' ? [] : [quoted(path)])).join('|')}) command_path="$next" ;;
    esac
  done
  option="\${words[CURRENT-1]}"
  if [[ "\${words[CURRENT]}" == --*=* ]]; then
    option="\${words[CURRENT]%%=*}"
    compset -P 1 '*='
  fi
  case "$command_path $option" in
${optionCases(nodes)}
  esac
  case "$command_path" in
${nodes.map(nodeCase).join('\n')}
  esac
  if [[ "\${words[CURRENT]}" == -* ]]; then
    compadd -- $options
  else
    compadd -- $values
  fi
}
if [[ "\${funcstack[1]}" == _miniodb ]]; then
  _miniodb "$@"
else
  compdef _miniodb miniodb
fi
`;
}

function nodeCase({ path, commands, choices, options }: CompletionNode): string {
  const flags = options.map(({ flag }) => flag).join(' ');
  return `    (${quoted(path)}) values=(${[...commands, ...choices].join(' ')}) options=(${flags}) ;;`;
}

function optionCases(nodes: readonly CompletionNode[]): string {
  const cases = nodes.flatMap(({ path, options }) =>
    options.flatMap(({ flag, takes, choices }) => {
      if (takes === 'nothing') return [];
      const offer = takes === 'file' ? '_files' : `compadd -- ${choices.join(' ')}`;
      return [`    (${quoted(`${path} ${flag}`)}) ${offer}; return ;;`];
    }),
  );
  return cases.join('\n');
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
