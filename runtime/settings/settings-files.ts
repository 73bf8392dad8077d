import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parseEnv } from 'node:util'
import { isRecord } from '../../kernel/is-record.ts'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { importWithin } from '../import-within.ts'

/** The file of settings that are not committed: passwords, keys, addresses of one machine. */
export const envFile = '.env'
const configFiles = ['lockstep.config.ts', 'lockstep.config.js', 'lockstep.config.mjs'] as const

/** How long a configuration file may take to run, milliseconds. */
const timeoutMs = 20_000

/**
 * The variables of the `.env` file of a folder; null: there is none.
 *
 * @throws LockstepError `CONFIG_INVALID` for a file that cannot be read, or a line of a setting without `=`
 */
export function readEnvFile(folder: string): Readonly<Record<string, string>> | null {
  const path = join(folder, envFile)
  if (!existsSync(path)) return null
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    throw invalid(`The file "${path}" cannot be read: ${messageOf(cause)}.`, cause)
  }
  // parseEnv ignores such a line
  const line = text.split('\n').findIndex((each) => /^\s*(export\s+)?LOCKSTEP_\w*\b\s*(?!\s|=)/.test(each))
  if (line >= 0) throw invalid(`Line ${line + 1} of "${path}" has no "=". Write it as NAME=value, such as LOCKSTEP_PORT=8080.`)
  return Object.fromEntries(Object.entries(parseEnv(text.replace(/^\uFEFF/, ''))).map(([name, value]) => [name, value ?? '']))
}

/** A configuration file's name and what it exports. */
export interface ConfigFile {
  readonly name: string
  readonly values: Readonly<Record<string, unknown>>
}

/**
 * Runs the configuration file of a folder; null: there is none.
 *
 * @throws LockstepError `CONFIG_INVALID` where there are several, or the file does not run or exports no object
 */
export async function readConfigFile(folder: string): Promise<ConfigFile | null> {
  const [name, second] = configFiles.filter((each) => existsSync(join(folder, each)))
  if (name === undefined) return null
  if (second !== undefined) throw invalid(`There are "${name}" and "${second}" in "${folder}". Keep one of them.`)
  let namespace: unknown
  try {
    namespace = await importWithin(join(folder, name), timeoutMs)
  } catch (cause) {
    const line = cause instanceof Error ? /lockstep\.config\.\w+(:\d+)/.exec(cause.stack ?? '')?.[1] : undefined
    throw invalid(`The configuration file could not be run: ${messageOf(cause)} (${join(folder, name)}${line ?? ''}).`, cause)
  }
  const values = isRecord(namespace) ? namespace['default'] : undefined
  // a promise has no settings of its own, and would count as an empty configuration
  if (!isRecord(values) || values instanceof Promise)
    throw invalid(`"${join(folder, name)}" exports no configuration. Write: export default defineConfig({ port: 8080 })`)
  return { name, values }
}

/** The nearest settings file of the folders above, which is not read; null: there is none. */
export function settingsAbove(folder: string): string | null {
  for (let at = dirname(folder), below = folder; at !== below; below = at, at = dirname(at)) {
    const found = configFiles.find((name) => existsSync(join(at, name)))
    if (found !== undefined) return join(at, found)
  }
  return null
}

function invalid(message: string, cause?: unknown): LockstepError {
  return new LockstepError('CONFIG_INVALID', message, { cause })
}
