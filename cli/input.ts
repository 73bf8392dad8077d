import { parseArgs } from 'node:util'
import { LockstepError } from '../kernel/errors.ts'
import { parseTimestamp } from '../kernel/values/time.ts'
import { didYouMean } from '../kernel/did-you-mean.ts'
import type { Argument, Command, Option } from './command.ts'

/** The arguments and options of a call, checked against the command's declaration. */
export interface Input {
  /** The argument of that name. */
  argument(name: string): string
  /** All values of an argument that takes none, one or many. */
  arguments(name: string): readonly string[]
  flag(option: string): boolean
  text(option: string): string | undefined
  /** The values of an option that may be given several times, in their order. */
  texts(option: string): readonly string[]
  /** The value of an option that the command declares as needed. */
  needed(option: string): string
  choice<const Choice extends string>(option: string, choices: readonly Choice[]): Choice | undefined
  /** A whole number from `min` to `max`; the default of `max` is 10^15. */
  count(option: string, min: number, max?: number): number | undefined
  /** Epoch microseconds. */
  time(option: string): number | undefined
}

/** Options that every command has. */
export const commonOptions: Readonly<Record<string, Option>> = {
  json: { help: 'Print a single JSON document.' },
  help: { help: 'Print this help.' },
}

/** @throws LockstepError `USAGE`, which names the unknown, missing or surplus word */
export function parseInput(command: Command, words: readonly string[]): Input {
  const options: Readonly<Record<string, Option>> = { ...command.options, ...commonOptions }
  const { tokens } = parseArgs({
    args: [...words],
    options: Object.fromEntries(
      Object.entries(options).map(([name, option]) => [
        name,
        { type: option.value !== undefined ? ('string' as const) : ('boolean' as const) },
      ]),
    ),
    allowPositionals: true,
    strict: false,
    tokens: true,
  })
  const given = new Map<string, string>()
  const repeated = new Map<string, string[]>()
  const positionals: string[] = []
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value)
    if (token.kind !== 'option') continue
    const { name, rawName, value } = token
    const option = Object.hasOwn(options, name) && rawName === `--${name}` ? options[name] : undefined
    if (option === undefined) {
      throw usage(
        command,
        `There is no option "${rawName}".${didYouMean(
          rawName,
          Object.keys(options).map((each) => `--${each}`),
        )}`,
      )
    }
    if (given.has(name) && option.many !== true) throw usage(command, `The option "${rawName}" is given twice.`)
    if (option.value === undefined && value !== undefined) throw usage(command, `The option "${rawName}" takes no value.`)
    if (option.value !== undefined && (value === undefined || (!token.inlineValue && /^-./.test(value)))) {
      throw usage(command, `The option "${rawName}" needs a value: ${rawName} ${option.value} (or ${rawName}=${option.value}).`)
    }
    given.set(name, value ?? '')
    if (option.many === true) repeated.set(name, [...(repeated.get(name) ?? []), value ?? ''])
  }
  const named = assign(command, positionals)
  for (const [name, option] of Object.entries(options)) {
    if (option.needed === true && !given.has(name)) {
      throw usage(command, `The option "--${name} ${option.value ?? ''}" is missing.`)
    }
  }
  return {
    argument: (name) => named.get(name)?.[0] ?? '',
    arguments: (name) => named.get(name) ?? [],
    flag: (option) => given.has(option),
    text: (option) => given.get(option),
    texts: (option) => repeated.get(option) ?? [],
    needed: (option) => given.get(option) ?? '',
    choice(option, choices) {
      const value = given.get(option)
      const choice = choices.find((each) => each === value)
      if (value === undefined || choice !== undefined) return choice
      throw usage(command, `The option "--${option}" is "${value}"; it can be ${choices.map((each) => `"${each}"`).join(' or ')}.`)
    },
    count(option, min, max = 1e15) {
      const value = given.get(option)
      if (value === undefined) return undefined
      const number = /^\d{1,15}$/.test(value) ? Number(value) : Number.NaN
      if (number >= min && number <= max) return number
      throw usage(
        command,
        `The option "--${option}" is "${value}"; it must be a whole number from ${min} ${max === 1e15 ? 'on' : `to ${max}`}.`,
      )
    },
    time(option) {
      const value = given.get(option)
      if (value === undefined) return undefined
      try {
        return parseTimestamp(value)
      } catch {
        const example = 'a time of the years 1684 to 2255, such as 2001-07-01T00:00:00Z (without a zone it is UTC)'
        throw usage(command, `The option "--${option}" is "${value}"; it must be ${example}.`)
      }
    },
  }
}

function assign(command: Command, positionals: readonly string[]): Map<string, readonly string[]> {
  const named = new Map<string, readonly string[]>()
  let at = 0
  for (const argument of command.arguments ?? []) {
    const count = argument.takes === 'many' || argument.takes === 'some' ? positionals.length - at : 1
    const values = positionals.slice(at, at + count)
    if (values.length === 0 && (argument.takes === undefined || argument.takes === 'some')) {
      throw usage(command, `The argument ${argument.name} (${lower(argument)}) is missing.`)
    }
    named.set(argument.name, values)
    at += values.length
  }
  const extra = positionals[at]
  if (extra !== undefined) throw usage(command, `The argument "${extra}" is unexpected.`)
  return named
}

function lower({ help }: Argument): string {
  return (help[0] ?? '').toLowerCase() + help.slice(1).replace(/\.$/, '')
}

function usage(command: Command, message: string): LockstepError {
  return new LockstepError('USAGE', `${message} See "lockstep ${command.name} --help".`, { details: { command: command.name } })
}
