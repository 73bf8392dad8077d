import { readFileSync } from 'node:fs'
import { LockstepError, messageOf } from '../../kernel/errors.ts'

/** The settings that may hold a secret. A variable such as `LOCKSTEP_POSTGRES_URL_FILE` names a file that holds one. */
export const secretVariables = [
  'LOCKSTEP_POSTGRES_URL',
  'LOCKSTEP_REDIS_URL',
  'LOCKSTEP_STREAM_REDIS_URL',
  'LOCKSTEP_NATS_URL',
  'LOCKSTEP_KAFKA_URL',
  'LOCKSTEP_SCHEMA_REGISTRY_URL',
  'LOCKSTEP_SCHEMA_REGISTRY_TOKEN',
  'LOCKSTEP_API_KEY',
  'LOCKSTEP_SIGNING_KEY',
] as const

const suffix = '_FILE'

/** The variable that names the file of a secret: `LOCKSTEP_POSTGRES_URL_FILE`. */
export function fileVariable(secret: string): string {
  return `${secret}${suffix}`
}

/** Whether a variable names the file of a setting. */
export function isFileVariable(name: string): boolean {
  return secretVariables.some((secret) => fileVariable(secret) === name)
}

/**
 * The secret that a place holds, as text or in a file, without line breaks at its end; null: the place names none.
 *
 * @throws LockstepError `CONFIG_INVALID` where the place has both, or the file is empty or cannot be read
 */
export function secretIn(place: Readonly<Record<string, string | undefined>>, secret: string): string | null {
  const [text, path] = [place[secret], place[fileVariable(secret)]]
  if (!path) return text || null
  if (text) throw invalid(`"${secret}" and "${fileVariable(secret)}" are both set; set one of them`)
  const what = `"${fileVariable(secret)}" names the file "${path}"`
  let content: string
  try {
    content = readFileSync(path, 'utf8').replace(/[\r\n]+$/, '')
  } catch (cause) {
    throw invalid(`${what}, which cannot be read: ${messageOf(cause)}`, cause)
  }
  if (content === '') throw invalid(`${what}, which is empty`)
  return content
}

function invalid(message: string, cause?: unknown): LockstepError {
  return new LockstepError('CONFIG_INVALID', `${message}.`, { cause })
}
