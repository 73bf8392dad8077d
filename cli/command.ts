import type { Context } from './context.ts'
import type { Input } from './input.ts'

/** The part of a command that help and the completion of shells show. */
export interface CommandHelp {
  /** The words that are typed: `dataset create`. */
  readonly name: string
  /** One line for the list of commands. */
  readonly summary: string
  /** Further help, one paragraph each. */
  readonly description?: readonly string[]
  readonly arguments?: readonly Argument[]
  readonly options?: Readonly<Record<string, Option>>
  readonly example: string
}

/** One verb of the command line. */
export interface Command extends CommandHelp {
  /** The command reads or writes data that may exceed memory, and then ends. */
  readonly streams?: true
  /** The command runs without settings, valid or not: its context has the defaults. */
  readonly settings?: false
  run(context: Context, input: Input): Promise<Outcome>
}

export interface Argument {
  /** In capitals: `FILE`. */
  readonly name: string
  readonly help: string
  /** `optional`: none or one; `many`: none or more, `some`: one or more, and the last one. Absent: exactly one. */
  readonly takes?: 'optional' | 'many' | 'some'
}

export interface Option {
  /** The name of its value, in capitals; absent: the option is a flag. */
  readonly value?: string
  readonly help: string
  /** All values that it can have, for the completion of shells. */
  readonly choices?: readonly string[]
  readonly needed?: boolean
  /** It may be given several times. */
  readonly many?: true
}

export interface Outcome {
  /** What `--json` prints: one document. */
  readonly json: unknown
  /** The text that is printed without `--json`. */
  readonly text: string
  /** Absent: 0. */
  readonly exitCode?: number
  /** The command has written its result to standard output, and nothing more may follow. */
  readonly printed?: true
  /** Work that continues after the outcome is printed, until the process is asked to end. */
  readonly stay?: () => Promise<void>
}
