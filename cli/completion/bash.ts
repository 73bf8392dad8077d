import type { CompletedCommand } from './completed-command.ts'
import { nextWords } from './completed-command.ts'

/** Completion for bash 3.2 and newer. Where it offers nothing, bash offers files. */
export function bashCompletion(commands: readonly CompletedCommand[]): string {
  const next = nextWords(commands)
  // "ingest list" before "ingest"
  const longestFirst = commands.toSorted((a, b) => b.name.length - a.name.length)
  return [
    '# bash completion of lockstep: eval "$(lockstep completion bash)"',
    '_lockstep() {',
    '  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} offers= line',
    // bash makes a word of the "=" in "--format=csv"
    '  [[ $prev == = ]] && prev=${COMP_WORDS[COMP_CWORD-2]}',
    '  [[ $cur == = ]] && cur=',
    '  line="${COMP_WORDS[*]:1:COMP_CWORD-1} "',
    '  line=${line#--json}',
    '  [[ $line == " "?* ]] && line=${line# }',
    '  case $line in',
    ...longestFirst.flatMap((command) => commandCase(command, [...(next.get(command.name)?.keys() ?? [])])),
    ...[...next].flatMap(([before, words]) => [`    '${before} ') offers='${[...words.keys()].join(' ')}' ;;`]),
    '  esac',
    '  COMPREPLY=($(compgen -W "$offers" -- "$cur"))',
    '}',
    'complete -o default -F _lockstep lockstep',
  ].join('\n')
}

function commandCase({ name, options }: CompletedCommand, furtherWords: readonly string[]): string[] {
  const free = options.filter(({ value, choices }) => value !== null && choices.length === 0)
  return [
    `    '${name} '*)`,
    '      case $prev in',
    ...options
      .filter(({ choices }) => choices.length > 0)
      .map((option) => `        ${option.name}) offers='${option.choices.join(' ')}' ;;`),
    ...(free.length === 0 ? [] : [`        ${free.map((option) => option.name).join('|')}) ;;`]),
    `        *) [[ $cur == -* ]] && offers='${options.map((option) => option.name).join(' ')}'`,
    ...(furtherWords.length === 0 ? [] : [`          [[ $cur != -* && $line == '${name} ' ]] && offers='${furtherWords.join(' ')}'`]),
    '          ;;',
    '      esac ;;',
  ]
}
