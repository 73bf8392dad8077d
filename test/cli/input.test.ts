import { describe, expect, it } from 'vitest'
import type { Command } from '../../cli/command.ts'
import { batchRunCommand } from '../../cli/commands/batch-run.ts'
import { commands } from '../../cli/commands.ts'
import type { Context } from '../../cli/context.ts'
import { findCommand } from '../../cli/find-command.ts'
import { commandHelp, generalHelp, helpFor, startHelp } from '../../cli/help.ts'
import { parseInput } from '../../cli/input.ts'
import { spineInput } from '../../cli/spine-option.ts'

const command: Command = {
  name: 'try',
  summary: 'Try',
  arguments: [
    { name: 'FILE', help: 'The file.' },
    { name: 'VIEW', help: 'A view.', takes: 'many' },
  ],
  options: {
    out: { value: 'FILE', help: 'Where to.', needed: true },
    rule: { value: 'RULE', help: 'How.' },
    every: { value: 'N', help: 'Which.' },
    overwrite: { help: 'Replace.' },
  },
  example: 'lockstep try',
  run: () => Promise.reject(new Error('not run')),
}

const parse = (...words: readonly string[]) => parseInput(command, words)

describe('a command line', () => {
  it('gives arguments and options, in any order', () => {
    const input = parse('--out', 'x', 'a', '--overwrite', 'b', 'c', '--every=3')
    expect([input.argument('FILE'), input.arguments('VIEW')]).toEqual(['a', ['b', 'c']])
    expect([input.needed('out'), input.flag('overwrite'), input.count('every', 1), input.text('rule')]).toEqual(['x', true, 3, undefined])
  })

  it('takes a value that begins with a dash only after "="', () => {
    expect(parse('a', '--out=-x').needed('out')).toBe('-x')
    expect(() => parse('a', '--out', '-x')).toThrow('"--out" needs a value')
  })

  it.each([
    [['a', '--out', 'x', '--overwite'], 'There is no option "--overwite". Did you mean "--overwrite"? See "lockstep try --help".'],
    [['a', '--out', 'x', '-o'], 'There is no option "-o".'],
    [['a', '--out', 'x', '--toString'], 'There is no option "--toString".'],
    [['a', '--out', 'x', '--out', 'y'], 'The option "--out" is given twice.'],
    [['a', '--out', 'x', '--overwrite=yes'], 'The option "--overwrite" takes no value.'],
    [['a', '--out'], 'The option "--out" needs a value: --out FILE (or --out=FILE).'],
    [['a'], 'The option "--out FILE" is missing.'],
    [['--out', 'x'], 'The argument FILE (the file) is missing.'],
  ])('%j is refused, with a message that says why', (words, message) => {
    expect(() => parse(...words)).toThrow(expect.objectContaining({ code: 'USAGE', message: expect.stringContaining(message) }))
  })

  it('with an argument too many is refused', () => {
    expect(() => parseInput({ ...command, arguments: [{ name: 'FILE', help: 'The file.' }] }, ['a', 'b', '--out', 'x'])).toThrow(
      'The argument "b" is unexpected.',
    )
  })

  it('is refused if it is not a choice, not an integer or out of range', () => {
    const input = parse('a', '--out', 'x', '--rule', 'now', '--every', '0')
    expect(() => input.choice('rule', ['at', 'before'])).toThrow('"--rule" is "now"; it can be "at" or "before"')
    expect(() => input.count('every', 1)).toThrow('"--every" is "0"; it must be a whole number from 1 on')
    expect(() => input.count('every', 1, 5)).toThrow('from 1 to 5')
    expect(() => parse('a', '--out', 'x', '--every', '1e3').count('every', 1)).toThrow('whole number')
  })

  it('is refused if it is not a time, or is out of range', () => {
    const time = (text: string) =>
      parseInput({ ...command, options: { to: { value: 'TIME', help: 'Until.' } } }, ['a', '--to', text]).time('to')
    expect(time('2001-07-01')).toBe(Date.UTC(2001, 6, 1) * 1000)
    for (const text of ['yesterday', '2001-02-29', '2300-01-01']) {
      expect(() => time(text)).toThrow(expect.objectContaining({ code: 'USAGE' }))
      expect(() => time(text)).toThrow(`The option "--to" is "${text}"; it must be a time of the years 1684 to 2255, such as`)
    }
  })

  it('with an engine over files is refused for options that only the database has', async () => {
    const run = (...words: readonly string[]) =>
      batchRunCommand.run({} as Context, parseInput(batchRunCommand, ['delay', '--spine', 'a.parquet', '--out', 'b', ...words]))
    await expect(run('--engine', 'duckdb', '--detach')).rejects.toThrow('does not have the option "--detach": its work is no job')
    await expect(run('--engine', 'duckdb', '--server', 'http://a')).rejects.toThrow('does not have the option "--server". Remove')
    await expect(run('--memory', '4GB')).rejects.toThrow('give "--engine duckdb" too')
  })

  it('finds a command by one word or two, and suggests the nearest for an unknown one', () => {
    expect(findCommand(commands, ['dataset', 'create', 'x'])).toMatchObject({ entry: { name: 'dataset create' }, rest: ['x'] })
    expect(() => findCommand(commands, ['aply'])).toThrow('There is no command "aply". Did you mean "apply"?')
    expect(() => findCommand(commands, ['predicitons', 'lst'])).toThrow('"predicitons". Did you mean "predictions list"?')
    expect(() => findCommand(commands, ['bach'])).toThrow('There is no command "bach". Did you mean "batch"?')
    expect(() => findCommand(commands, ['dataset', 'crate'])).toThrow(
      'Did you mean "dataset create"? There is "dataset create", "dataset reg',
    )
    expect(() => findCommand(commands, ['dataset', 'make'])).toThrow(
      'There is "dataset create", "dataset register", "dataset list", "dataset show", "dataset verify", "dataset delete".',
    )
  })
})

describe('help', () => {
  it('exists for every command, with all of its options and an example', async () => {
    for (const entry of commands) {
      const loaded = await entry.load()
      expect(loaded.name).toBe(entry.name)
      const text = commandHelp(loaded)
      for (const option of ['json', 'help', ...Object.keys(loaded.options ?? {})]) expect(text).toContain(`--${option}`)
      for (const { name } of loaded.arguments ?? []) expect(text).toContain(name)
      expect(loaded.example).toMatch(new RegExp(`^lockstep ${entry.name}( |$)`))
    }
  })

  it('fits a narrow screen, but for usages and examples', async () => {
    const loaded = await Promise.all(commands.map((entry) => entry.load()))
    const text = [generalHelp(loaded, 80), ...loaded.map((command) => commandHelp(command, 80))].join('\n')
    const tooLong = text.split('\n').filter((line) => line.length > 80 && !/^Usage: | {2}lockstep /.test(line))
    expect(tooLong).toEqual([])
  })

  it('of a command with subcommands mentions and lists them', async () => {
    const text = await helpFor(commands, ['ingest'])
    expect(text).toMatch(/^Usage: lockstep ingest SOURCE FILE/)
    expect(text).toMatch(/See also:\n  ingest list .*\n  ingest undo ID /)
    expect(await helpFor(commands, ['prune'])).toMatch(/^Usage: lockstep prune NAME… /)
    expect(await helpFor(commands, ['ingest', 'list'])).toMatch(/^Usage: lockstep ingest list/)
    expect(await helpFor(commands, ['model'])).toMatch(/\n  model push NAME FILE /)
  })

  it('without words lists the first commands, in the order of use, on one screen', async () => {
    const text = await startHelp(commands)
    const listed = [...text.matchAll(/^  ([a-z]+)\b.* {2}/gm)].map(([, name]) => name)
    expect(listed.slice(0, 3)).toEqual(['init', 'dev', 'doctor'])
    expect(listed).toContain('serve')
    expect(text.split('\n').length).toBeLessThan(24)
    expect(text).toContain('All commands: lockstep help')
  })

  it('lists all commands, in lines that fit a terminal', async () => {
    const text = generalHelp(await Promise.all(commands.map((entry) => entry.load())))
    for (const { name } of commands) expect(text).toMatch(new RegExp(`^  ${name}( |$)`, 'm'))
    for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(100)
  })
})

describe('--spine', () => {
  it.each([
    'select 1',
    '  SELECT *\nfrom x',
    '(select 1) union (select 2)',
    'with a as (select 1) select * from a',
    '-- mine\nselect 1',
    '/* mine */ select 1',
    'table x',
  ])('takes %j for a query', (text) => {
    expect(spineInput(text)).toEqual({ sql: text })
  })

  it('says how a query begins if several words are not a file', () => {
    expect(() => spineInput('selec user_id from transactions')).toThrow(
      expect.objectContaining({ code: 'USAGE', message: expect.stringMatching(/starts with SELECT.*Did you mean "select"\?/) }),
    )
  })

  it.each(['a spine.csv', 'spine.parquet', 'selected.csv', './select', 'with.jsonl', '/data/values/x.csv'])(
    'takes %j for a file',
    (text) => {
      expect(spineInput(text)).toEqual({ file: text })
    },
  )
})
