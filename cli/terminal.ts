import { createInterface } from 'node:readline/promises'
import { LockstepError } from '../kernel/errors.ts'
import type { Progress, ProgressTarget } from './progress.ts'
import { createProgress, widthOf } from './progress.ts'

/** All output to the screen: results go to standard output, progress and errors to standard error. */
export interface Terminal {
  /** Whether standard output must hold only one JSON document. */
  readonly json: boolean
  /** The columns of the screen; null: results go to a file or a pipe. */
  readonly width: number | null
  /** Writes text and a line end to standard output. */
  print(text: string): void
  /** Writes text and a line end to standard error. */
  complain(text: string): void
  /** Silent with `--json`. */
  progress(label: string, unit: string): Progress
  /** Whether there is a person to ask. */
  readonly canAsk: boolean
  /** Asks a person to type "yes". @throws LockstepError `USAGE` where there is nobody to ask, or with `--json` */
  confirm(question: string): Promise<boolean>
}

export interface TerminalStreams {
  readonly out: ProgressTarget
  readonly err: ProgressTarget
}

export function createTerminal(json: boolean, { out, err }: TerminalStreams = { out: process.stdout, err: process.stderr }): Terminal {
  const canAsk = !json && process.stdin.isTTY && err.isTTY === true
  return {
    json,
    width: out.isTTY === true ? widthOf(out) : null,
    canAsk,
    print: (text) => void out.write(`${text}\n`),
    complain: (text) => void err.write(`${text}\n`),
    progress: (label, unit) => (json ? { update: () => undefined, end: () => undefined } : createProgress(err, { label, unit })),
    async confirm(question) {
      if (!canAsk) {
        throw new LockstepError('USAGE', `${question} There is no terminal to ask on. To confirm, pass --yes.`)
      }
      const asking = createInterface({ input: process.stdin, output: process.stderr })
      try {
        return /^y(es)?$/i.test((await asking.question(`${question} [y/N] `)).trim())
      } finally {
        asking.close()
      }
    },
  }
}
