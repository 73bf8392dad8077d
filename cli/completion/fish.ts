import type { CompletedCommand, CompletedOption } from './completed-command.ts'
import { nextWords } from './completed-command.ts'

/** Completion for fish 3 and newer. */
export function fishCompletion(commands: readonly CompletedCommand[]): string {
  const next = nextWords(commands)
  return [
    '# fish completion of lockstep: lockstep completion fish | source',
    '# whether the words before the cursor are these, or begin with them',
    'function __lockstep_are',
    '  set -l words (string match -v -- --json (commandline -opc)[2..])',
    '  test "$argv" = "$words"',
    'end',
    'function __lockstep_begin',
    '  set -l words (string match -v -- --json (commandline -opc)[2..])',
    '  set -l size (count $argv)',
    '  test (count $words) -ge $size; and test "$argv" = "$words[1..$size]"',
    'end',
    ...[...next].flatMap(([before, words]) =>
      [...words].map(
        ([word, help]) =>
          `complete -c lockstep ${commands.some(({ name }) => name === before) ? '' : '-f '}-n ${quoted(`__lockstep_are ${before}`.trim())} -a ${word} -d ${quoted(help)}`,
      ),
    ),
    ...commands.flatMap(({ name, options }) => options.map((option) => optionLine(name, option))),
  ].join('\n')
}

function optionLine(command: string, { name, help, value, choices }: CompletedOption): string {
  const takes = value === null ? '' : choices.length === 0 ? ' -r' : ` -x -a ${quoted(choices.join(' '))}`
  return `complete -c lockstep -n ${quoted(`__lockstep_begin ${command}`)} -l ${name.slice(2)}${takes} -d ${quoted(help)}`
}

function quoted(text: string): string {
  return `'${text.replaceAll(/[\\']/g, String.raw`\$&`)}'`
}
