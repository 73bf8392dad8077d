import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { CommandHelp } from './command.ts'
import type { CommandEntry } from './commands.ts'

/** `build/build.ts` writes it into the package, because importing all commands takes a second. A clone has none. */
const file = join(import.meta.dirname, 'help.json')

/** The help of these commands, in their order. */
export async function readHelp(entries: readonly CommandEntry[]): Promise<readonly CommandHelp[]> {
  if (!existsSync(file)) return await Promise.all(entries.map((entry) => entry.load()))
  const all: readonly CommandHelp[] = JSON.parse(readFileSync(file, 'utf8'))
  return all.filter(({ name }) => entries.some((entry) => entry.name === name))
}
