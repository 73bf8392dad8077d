import { resolve } from 'node:path'
import { nearest } from '../kernel/did-you-mean.ts'
import { LockstepError, withoutStop } from '../kernel/errors.ts'
import { parseRedisUrl } from './redis/redis-url.ts'
import type { Config } from './settings/process-config.ts'
import { toConfig } from './settings/process-config.ts'
import { fileVariable, isFileVariable, secretIn, secretVariables } from './settings/secret-files.ts'
import type { ConfigFile } from './settings/settings-files.ts'
import { envFile, readConfigFile, readEnvFile } from './settings/settings-files.ts'
import { variables } from './settings/variables.ts'
import { readTraceSettings } from './tracing/trace-settings.ts'

export type { Config, RedisReads } from './settings/process-config.ts'

// Every process of Lockstep runs in UTC, because a transform's use of Date must not depend on the machine's time zone.
process.env['TZ'] = 'UTC'

/** A configuration, and where each setting in it that is not a default comes from. */
export interface Settings {
  readonly config: Config
  /** By variable: `environment`, or the name of a file. */
  readonly origins: ReadonlyMap<string, string>
  /** Variables that name a PostgreSQL for other programs. Lockstep does not read them. */
  readonly elsewhere: readonly string[]
}

/** The settings of one place: texts by variable. */
interface Place {
  readonly name: string
  readonly given: Readonly<Record<string, string | undefined>>
}

const environment = 'environment'
const begin = 'LOCKSTEP_'
const names = Object.keys(variables.shape)

/**
 * Reads the settings: environment variables, then the file `.env` of the folder, then its `lockstep.config.ts`, then
 * defaults. The first that names a setting wins. An empty value counts as absent, and hides the places below it. Other
 * variables of `.env` become environment variables, so that the configuration file can use them.
 *
 * @throws LockstepError `CONFIG_INVALID`, as `loadConfig`, and for files that cannot be read
 */
export async function loadSettings(folder = process.cwd(), env: NodeJS.ProcessEnv = process.env): Promise<Settings> {
  const own = { ...env }
  const inFile = readEnvFile(folder) ?? {}
  const misspelt = Object.keys(inFile).filter((name) => !name.startsWith(begin) && nearest(name.replace(/_.*/, '_'), [begin]) !== null)
  if (misspelt.length > 0)
    throw notValid(misspelt.map((name) => `"${name}" (${envFile}) is not a setting (${hint(nearest(name, names) ?? `${begin}…`)})`))
  for (const [name, value] of Object.entries(inFile)) if (!name.startsWith(begin)) env[name] ??= value
  const file = await readConfigFile(folder)
  return settingsOf([{ name: environment, given: own }, { name: envFile, given: inFile }, ...(file === null ? [] : [placeOf(file)])])
}

/**
 * Reads the configuration of environment variables alone. An empty variable counts as absent. An unknown variable that
 * starts with LOCKSTEP_ is an error, because it is probably misspelt. LOCKSTEP_TEST_… variables belong to the tests and
 * are ignored.
 *
 * @throws LockstepError `CONFIG_INVALID`, which names every invalid setting with its place, and its value unless it may
 *   contain a password
 */
export function loadConfig(env: Readonly<Record<string, string | undefined>> = process.env): Config {
  return settingsOf([{ name: environment, given: env }]).config
}

/**
 * Reads a secret that a definition names, from the variable of that name or the file that `NAME_FILE` names; null:
 * neither is set. Variables of Lockstep itself are never read.
 *
 * @throws LockstepError `CONFIG_INVALID` where both are set, or the file is empty or cannot be read
 */
export function readSecret(name: string): string | null {
  return name.startsWith(begin) ? null : secretIn(process.env, name)
}

/** Reads a variable of another tool; null: it is not set. */
export function readVariable(name: string): string | null {
  return process.env[name] || null
}

/** The key of a setting in `lockstep.config.ts`: `postgresUrl` of `LOCKSTEP_POSTGRES_URL`. */
function configKey(variable: string): string {
  return variable
    .slice(begin.length)
    .toLowerCase()
    .replaceAll(/_(.)/g, (_, letter: string) => letter.toUpperCase())
}

/** The texts of a configuration file, under the names of variables. */
function placeOf({ name: file, values }: ConfigFile): Place {
  const known = new Map(names.map((name) => [configKey(name), name]))
  const problems: string[] = []
  const given: Record<string, string> = {}
  for (const [key, value] of Object.entries(values)) {
    const name = known.get(key)
    const text = textOf(value)
    if (name === undefined) problems.push(`"${key}" (${file}) is not a setting (${hint(nearest(key, known.keys()))})`)
    else if (text === null) problems.push(`"${key}" (${file}) must be a text, a number, or a list of texts`)
    else if (text !== undefined) given[name] = text
  }
  if (problems.length > 0) throw notValid(problems)
  return { name: file, given }
}

/** undefined: absent; null: not a value of a setting. */
function textOf(value: unknown): string | null | undefined {
  if (typeof value === 'number') return String(value)
  if (Array.isArray(value) && value.every((each) => typeof each === 'string')) return value.join(',')
  return typeof value === 'string' || value === undefined ? value : null
}

function settingsOf(places: readonly Place[]): Settings {
  const given: Record<string, string> = {}
  const origins = new Map<string, string>()
  const problems: string[] = []
  for (const { name: place, given: texts } of places) {
    for (const name of secretVariables) {
      const path = texts[fileVariable(name)]
      if (path === undefined || origins.has(name)) continue
      origins.set(name, path === '' ? place : resolve(path))
      given[name] = secretOf(texts, name, problems)
    }
    for (const [name, text] of Object.entries(texts)) {
      const isOther = !name.startsWith(begin) || name.startsWith('LOCKSTEP_TEST_') || isFileVariable(name)
      if (isOther || text === undefined || origins.has(name)) continue
      origins.set(name, place)
      given[name] = text
    }
  }
  for (const name of origins.keys()) {
    if (given[name] !== '') continue
    delete given[name]
    origins.delete(name)
  }
  const elsewhere = ['DATABASE_URL', 'POSTGRES_URL', 'PGHOST', 'PGDATABASE'].filter((name) => places.some((place) => place.given[name]))
  const otel = places.reduceRight<Place['given']>((all, place) => ({ ...all, ...place.given }), {})
  return { config: configOf(given, origins, otel, problems), origins, elsewhere }
}

/** A place's secret, or an empty text and a problem. */
function secretOf(place: Place['given'], name: string, problems: string[]): string {
  try {
    return secretIn(place, name) ?? ''
  } catch (error) {
    problems.push(withoutStop(error))
    return ''
  }
}

/**
 * @param otel the variables of OpenTelemetry, which have no keys in `lockstep.config.ts`
 * @param problems those that were found before
 */
function configOf(
  given: Readonly<Record<string, string>>,
  origins: ReadonlyMap<string, string>,
  otel: Place['given'],
  problems: string[],
): Config {
  const label = (name: string): string => {
    const origin = origins.get(name) ?? environment
    if (origin === environment) return `"${name}"`
    return origin.startsWith('lockstep.config.') ? `"${configKey(name)}" (${origin})` : `"${name}" (${origin})`
  }
  for (const name of Object.keys(given))
    if (!names.includes(name)) problems.push(`${label(name)} is not a setting (${hint(nearestVariable(name))})`)
  const parsed = variables.safeParse(given)
  for (const issue of parsed.error?.issues ?? []) {
    const name = String(issue.path[0])
    problems.push(`${label(name)} is ${shown(name, given[name])}; it must be ${issue.message}`)
  }
  if (parsed.data?.LOCKSTEP_REDIS_READS === 'replica' && parseRedisUrl(parsed.data.LOCKSTEP_REDIS_URL ?? '')?.kind !== 'cluster')
    problems.push(
      `${label('LOCKSTEP_REDIS_READS')} is "replica", which needs a cluster: set LOCKSTEP_REDIS_URL to redis+cluster://host:6379`,
    )
  const { LOCKSTEP_TLS_CERT: cert, LOCKSTEP_TLS_KEY: key } = given
  if ((cert === undefined) !== (key === undefined))
    problems.push(
      `"${cert === undefined ? 'LOCKSTEP_TLS_CERT' : 'LOCKSTEP_TLS_KEY'}" is missing: set both LOCKSTEP_TLS_CERT and LOCKSTEP_TLS_KEY, or neither`,
    )
  const traces = readTraceSettings(otel, problems)
  if (!parsed.success || problems.length > 0) throw notValid(problems)
  return toConfig(parsed.data, traces)
}

/** Names differ behind their common beginning. `PREFIX` is meant to be the only name that has this word. */
function nearestVariable(name: string): string | null {
  const words = name.slice(begin.length)
  const known = names.map((each) => each.slice(begin.length))
  const having = known.filter((each) => `_${each}_`.includes(`_${words}_`))
  const meant = nearest(words, known) ?? (having.length === 1 ? having[0] : undefined)
  return meant === undefined ? null : `${begin}${meant}`
}

function hint(meant: string | null): string {
  return meant === null ? 'docs/configuration.md lists them' : `did you mean "${meant}"?`
}

function notValid(problems: readonly string[]): LockstepError {
  return new LockstepError('CONFIG_INVALID', `The settings are not valid: ${problems.join('; ')}.`, { details: { problems } })
}

function shown(name: string, value: string | undefined): string {
  return /_(URL|SERVER|TOKEN|(SIGNING|TLS|API)_KEY)$/.test(name) ? 'something else (not shown: it may hold a secret)' : `"${value}"`
}
