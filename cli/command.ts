import type { Context } from './context.ts'
import type { Input } from './input.ts'

/** One verb of the command line. */
export interface Command {
  /** As it is typed: `dataset create`. */
  readonly name: string
  /** One line for the list of commands. */
  readonly summary: string
  /** What else there is to know, one paragraph each. */
  readonly description?: readonly string[]
  readonly arguments?: readonly Argument[]
  readonly options?: Readonly<Record<string, Option>>
  readonly example: string
  /** It reads or writes what need not fit into memory, and then ends. */
  readonly streams?: true
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
  /** What its value is called, in capitals; absent: the option is a flag. */
  readonly value?: string
  readonly help: string
  readonly needed?: boolean
  /** It may be given several times. */
  readonly many?: true
}

export interface Outcome {
  /** What `--json` prints: one document. */
  readonly json: unknown
  /** What is printed otherwise. */
  readonly text: string
  /** Absent: 0. */
  readonly exitCode?: number
  /** What goes on after the outcome is printed, until the process is told to end. */
  readonly stay?: () => Promise<void>
}
