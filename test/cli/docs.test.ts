import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { commands } from '../../cli/commands.ts'
import { commandHelp, subjects } from '../../cli/help.ts'
import { commonOptions } from '../../cli/input.ts'
import { rootFolder } from '../source-files.ts'

const page = readFileSync(join(rootFolder, 'docs/cli.md'), 'utf8')
const remote = readFileSync(join(rootFolder, 'docs/remote.md'), 'utf8')

/** The sections of commands, by the command line in their heading. */
const sections = new Map(
  page
    .split(/^## /m)
    .filter((text) => text.startsWith('lockstep '))
    .map((text) => [text.slice('lockstep '.length, text.indexOf('\n')), text] as const),
)

const loaded = await Promise.all(commands.map((entry) => entry.load()))
const helps = loaded.map((each) => commandHelp(each))

/** `model push NAME FILE`, by what a command prints with --help. */
const usageOf = (help: string): string => /^Usage: lockstep (.*?)( --.*)? \[OPTIONS\]$/m.exec(help)?.[1] ?? ''

/** Each option with what its value is called. */
const optionsIn = (text: string, pattern: RegExp): string[] =>
  [...text.matchAll(pattern)].map(([, option = '', value = '']) => `${option} ${value}`)

describe('docs/cli.md', () => {
  it('has a section for every command, with its arguments in order, and no other', () => {
    expect([...sections.keys()]).toEqual(helps.map(usageOf))
  })

  it.each(helps.map((help) => [usageOf(help), help]))('has the options that "%s" shows with --help, and no other', (usage, help) => {
    const shown = optionsIn(help, /^ {2}--([a-z-]+)(?: (\S+))?(?:$| {2})/gm)
    const common = Object.keys(commonOptions).map((option) => `${option} `)
    expect(shown).toEqual(expect.arrayContaining(common))
    const section = (sections.get(usage) ?? '').replaceAll(String.raw`\|`, '|')
    const documented = optionsIn(section, /^\| `--([a-z-]+)(?: ([^`]+))?` \|/gm)
    // the general rules have the server, and a section only what is special of it
    const isOwn = (option: string): boolean => !common.includes(option) && option !== 'server URL'
    expect(documented.filter(isOwn)).toEqual(shown.filter(isOwn))
    expect(shown).toEqual(expect.arrayContaining(documented))
  })

  it('names each first word of a command under its subject, as the help of all commands does', () => {
    const rows = [...page.matchAll(/^\| ([a-z ]+) \| (\[.*) \|$/gm)].map(([, subject, cell = '']) => [
      subject,
      [...cell.matchAll(/\[([a-z-]+)[^\]]*\]/g)].map(([, word]) => word),
    ])
    expect(rows).toEqual(subjects)
    const words = subjects.flatMap(([, each]) => each)
    expect(words.toSorted()).toEqual([...new Set(commands.map(({ name }) => name.split(' ')[0] ?? ''))].toSorted())
  })

  it('lists the options of every command, and the exit codes', () => {
    for (const option of [...Object.keys(commonOptions), 'server URL']) expect(page).toContain(`\n| \`--${option}\` |`)
    for (const code of ['0', '1', '2', '130, 143']) expect(page).toContain(`\n| ${code} | `)
  })

  it('leaves to remote.md which commands take --server, and that page names all of them', () => {
    const names = loaded.map(({ name }) => name)
    const takes = new Set<string>()
    for (const [, list = ''] of remote.matchAll(/^\| [a-z ]+ \| ((?:`|the `).*) \|$/gm)) {
      for (const [, but, the, name = ''] of list.matchAll(/(but )?(the )?`([a-z -]+)`/g)) {
        if (but !== undefined) takes.delete(name)
        else for (const each of names) if (each === name || (the !== undefined && each.startsWith(`${name} `))) takes.add(each)
      }
    }
    expect([...takes].toSorted()).toEqual(
      loaded.flatMap(({ name, options }) => (options?.['server'] === undefined ? [] : [name])).toSorted(),
    )
  })

  it('is linked from the README', () => {
    expect(readFileSync(join(rootFolder, 'README.md'), 'utf8')).toContain('(docs/cli.md)')
  })
})
