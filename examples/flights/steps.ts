import type { Outcome } from '../../cli/command.ts'
import type { Context } from '../../cli/context.ts'
import { duration } from '../../cli/text/human.ts'
import { prepare } from '../../cli/run.ts'

/** The progress of the demo: numbered steps, each with its time and its command lines. */
export interface Steps {
  step(title: string, work: () => Promise<void>): Promise<void>
  /** Runs a command line of Lockstep in this process, and prints both. */
  lockstep(...words: readonly string[]): Promise<Outcome>
  say(text: string): void
  /** Milliseconds since the start. */
  elapsedMs(): number
}

export function createSteps(context: Context, total: number): Steps {
  const { terminal } = context
  const started = performance.now()
  let number = 0
  return {
    async step(title, work) {
      number++
      const from = performance.now()
      terminal.print(`\n[${number}/${total}] ${title}`)
      await work()
      terminal.print(`[${number}/${total}] done in ${duration(performance.now() - from)}`)
    },
    async lockstep(...words) {
      terminal.print(`$ lockstep ${words.map(shellWord).join(' ')}`)
      const outcome = await (await prepare(words))(context)
      terminal.print(outcome.text)
      return outcome
    },
    say: (text) => terminal.print(text),
    elapsedMs: () => performance.now() - started,
  }
}

/** Quotes a word for a shell. */
function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `"${word.replace(/["\\$`]/g, '\\$&')}"`
}
