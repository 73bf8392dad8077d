import { LockstepError } from '../kernel/errors.ts'
import type { LogLevel } from '../runtime/log.ts'
import { limitHeapGrowth } from '../runtime/v8-flags.ts'
import { readVersion } from '../runtime/version.ts'
import type { Command, Outcome } from './command.ts'
import { commands } from './commands.ts'
import type { Context } from './context.ts'
import { findCommand } from './find-command.ts'
import { helpFor, startHelp } from './help.ts'
import type { Input } from './input.ts'
import { parseInput } from './input.ts'
import { jsonText, reportError } from './report-error.ts'
import type { Terminal } from './terminal.ts'
import { createTerminal } from './terminal.ts'

/**
 * Runs one command line, prints its outcome and closes everything that it opened.
 *
 * @param signal aborted when the process is asked to end
 * @returns the exit code
 */
export async function run(words: readonly string[], signal: AbortSignal): Promise<number> {
  const terminal = createTerminal(words.includes('--json'))
  let level: LogLevel = 'info'
  try {
    if (await printed(words, terminal)) return 0
    const { command, input } = await parse(words)
    const { loadConfig, loadSettings } = await import('../runtime/config.ts')
    const { createContext } = await import('./context.ts')
    const { storesNotice } = await import('./stores-notice.ts')
    const { withContext } = await import('./with-context.ts')
    const settings = command.settings === false ? null : await loadSettings()
    const config = settings?.config ?? loadConfig({})
    level = config.logLevel
    const context = createContext(config, terminal, signal, settings === null ? undefined : storesNotice(settings, process.cwd()))
    return await withContext(context, async () => {
      const outcome = await command.run(context, input)
      if (outcome.printed !== true) terminal.print(terminal.json ? jsonText(outcome.json, terminal.width !== null) : outcome.text)
      await outcome.stay?.()
      return outcome.exitCode ?? 0
    })
  } catch (error) {
    // a stop makes the running work fail; a command may report more
    const isOfStop = error instanceof LockstepError && error.cause === signal.reason
    return reportError(signal.aborted && !isOfStop ? signal.reason : error, terminal, level === 'debug' || level === 'trace')
  }
}

/**
 * Checks the words of a command line.
 *
 * @returns a function that runs the command
 * @throws LockstepError `USAGE`
 */
export async function prepare(words: readonly string[]): Promise<(context: Context) => Promise<Outcome>> {
  const { command, input } = await parse(words)
  return (context) => command.run(context, input)
}

async function parse(words: readonly string[]): Promise<{ readonly command: Command; readonly input: Input }> {
  const { entry, rest } = findCommand(commands, words)
  const command = await entry.load()
  const input = parseInput(command, rest)
  if (command.streams === true) limitHeapGrowth()
  return { command, input }
}

const shortOptions: Readonly<Record<string, string>> = { '-h': '--help', '-v': '--version' }

/** Help and version need only the words, and so no settings, whose modules `run` imports afterwards. */
async function printed(words: readonly string[], terminal: Terminal): Promise<boolean> {
  const named = words[0] === '--json' ? words.slice(1) : words
  const [word] = named
  const first = shortOptions[word ?? ''] ?? word
  if (first === undefined) terminal.print(await startHelp(commands))
  else if (first === '--version') terminal.print(readVersion())
  else if (first === 'help' || first === '--help') terminal.print(await helpFor(commands, named.slice(1)))
  else if (words.includes('--help') || words.includes('-h'))
    terminal.print(
      await helpFor(
        commands,
        words.filter((word) => !word.startsWith('-')),
      ),
    )
  else return false
  return true
}
