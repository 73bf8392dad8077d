import type { CompletedCommand, CompletedOption } from './completed-command.ts'
import { nextWords } from './completed-command.ts'

/** Completion for zsh, as a function for `compdef`. */
export function zshCompletion(commands: readonly CompletedCommand[]): string {
  const next = nextWords(commands)
  const longestFirst = commands.toSorted((a, b) => b.name.length - a.name.length)
  return [
    '#compdef lockstep',
    '# zsh completion of lockstep: eval "$(lockstep completion zsh)"',
    '_lockstep() {',
    '  local -a offers',
    '  [[ $words[2] == --json && CURRENT -gt 2 ]] && { words[2]=(); (( CURRENT-- )) }',
    '  local line="${(j: :)words[2,CURRENT-1]} "',
    '  case $line in',
    // the words that a command's name begins with, if nothing follows them yet
    ...[...next].flatMap(([before, words]) => [
      `    ${before === '' ? "' '" : `'${before} '`})`,
      `      offers=(${[...words].map(([word, help]) => quoted(`${word}:${help}`)).join(' ')})`,
      commands.some(({ name }) => name === before)
        ? `      [[ $words[CURRENT] != -* ]] && _describe command offers && return`
        : '      _describe command offers; return',
      '      ;;',
    ]),
    '  esac',
    '  case $line in',
    ...longestFirst.flatMap(({ name, options }) => [
      `    '${name} '*)`,
      ...(name.includes(' ') ? ['      shift words; (( CURRENT-- ))'] : []),
      '      shift words; (( CURRENT-- ))',
      `      _arguments ${options.map(argument).join(' ')} '*:file:_files'`,
      '      ;;',
    ]),
    '  esac',
    '}',
    'compdef _lockstep lockstep',
  ].join('\n')
}

function argument({ name, help, value, choices }: CompletedOption): string {
  const text = help.replaceAll(/[[\]:]/g, '\\$&')
  if (value === null) return quoted(`${name}[${text}]`)
  return quoted(`${name}[${text}]:${value.toLowerCase()}:${choices.length === 0 ? '_files' : `(${choices.join(' ')})`}`)
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`
}
