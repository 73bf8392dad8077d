import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { messageOf } from '../../kernel/errors.ts'
import type { Settings } from '../../runtime/config.ts'
import { loadSettings } from '../../runtime/config.ts'
import { databaseName, requireMade } from '../../runtime/postgres/open-database.ts'
import type { Command } from '../command.ts'
import type { Context } from '../context.ts'
import { createContext } from '../context.ts'
import type { Answer, CheckFinding } from '../doctor/check.ts'
import { findingsOf, note, ok, skipped, wrong } from '../doctor/check.ts'
import {
  checkConnections,
  checkDatabase,
  checkDatabaseClock,
  checkMigrations,
  checkRights,
  checkServerClocks,
} from '../doctor/database-checks.ts'
import { checkAuth, checkDisk, checkFiles, checkOnnxRuntime, checkPorts, checkTls, checkVersions } from '../doctor/machine-checks.ts'
import type { FoundProblems } from '../doctor/registry-checks.ts'
import {
  checkAlerts,
  checkChannels,
  checkModels,
  checkOutcomes,
  checkRegistry,
  checkSources,
  checkViews,
  checkWorker,
  readProblems,
} from '../doctor/registry-checks.ts'
import { checkServer, checkServerKey } from '../doctor/server-checks.ts'
import { checkEmbeddedStore, checkRedis } from '../doctor/store-checks.ts'
import { examineStreams } from '../doctor/stream-checks.ts'
import { counted } from '../text/human.ts'

export const doctorCommand: Command = {
  name: 'doctor',
  summary: 'Check what Lockstep needs here, and say what to do',
  description: [
    'Prints one line for each check: ok, or what to do. Writes nothing and prints no passwords. A check without an answer ends after 8 s.',
    'If LOCKSTEP_SERVER is set, also checks that server. If then no database is set, checks no database.',
    'Exits with 1 if a line begins with "wrong". A "note" needs no action now.',
  ],
  settings: false,
  example: 'lockstep doctor',
  async run(context) {
    const findings = await examine(context)
    const bad = findings.filter(({ verdict }) => verdict === 'wrong').length
    return {
      json: { ok: bad === 0, findings },
      text: [
        ...findings.map(({ verdict, check, text }) => `${verdict.padEnd(8)}${check.padEnd(14)}${text}`),
        bad === 0 ? 'Nothing must be done.' : `${counted(bad, 'thing')} must be done: see the lines that begin with "wrong".`,
      ].join('\n'),
      exitCode: bad === 0 ? 0 : 1,
    }
  },
}

async function examine(context: Context): Promise<CheckFinding[]> {
  const found = await findingsOf('versions', checkVersions)
  let settings: Settings
  try {
    settings = await loadSettings()
  } catch (error) {
    return [
      ...found,
      { check: 'settings', ...wrong(messageOf(error)) },
      { check: 'stores', ...skipped('The settings must be right first.') },
    ]
  }
  const { config } = settings
  const { tls } = config
  const own = createContext({ ...config, logLevel: 'silent' }, context.terminal, context.signal)
  context.add('doctor', () => own.close())
  const machine = Promise.all([
    findingsOf('disk', () => checkDisk(config)),
    findingsOf('files', () => checkFiles(config, settings.origins.has('LOCKSTEP_FILES_DIR'))),
    findingsOf('port', () => checkPorts(config)),
    findingsOf('keys', () => checkAuth(config)),
    tls === null ? [] : findingsOf('tls', () => checkTls(tls)),
    findingsOf('onnx', checkOnnxRuntime),
  ])
  const streams = examineStreams(config)
  return [
    ...found,
    ...(await findingsOf('settings', () => settingsAnswers(settings))),
    ...(await examineServer(own)),
    ...(usesOnlyServer(config) ? [] : await examineStores(own)),
    ...(await streams),
    ...(await machine).flat(),
  ]
}

function settingsAnswers({ origins, elsewhere }: Settings): Answer[] {
  const named = [...origins].map(([name, place]) => `${name} (${place})`)
  return [
    ok(named.length === 0 ? 'Defaults: none is set.' : `Set: ${named.join(', ')}.`),
    ...elsewhere.map((name) => note(`${name} is set. Lockstep does not read it; it reads LOCKSTEP_POSTGRES_URL.`)),
  ]
}

/** Then no command here opens a database. */
function usesOnlyServer({ server, postgresUrl, redisUrl, directory }: Context['config']): boolean {
  return server !== null && postgresUrl === null && redisUrl === null && !existsSync(join(directory, 'postgres'))
}

async function examineServer({ config: { server, apiKey }, signal }: Context): Promise<CheckFinding[]> {
  if (server === null) return []
  const asked = { url: server.replace(/\/+$/, ''), apiKey, signal }
  const found = await findingsOf('server', () => checkServer(asked))
  const [first] = found
  return first?.verdict === 'ok' ? [...found, ...(await findingsOf('key', () => checkServerKey(asked)))] : found
}

async function examineStores(context: Context): Promise<CheckFinding[]> {
  const { config } = context
  const name = databaseName(config)
  const findings: CheckFinding[] = []
  const add = async (check: string, run: Parameters<typeof findingsOf>[1]): Promise<boolean> => {
    const found = await findingsOf(check, run)
    findings.push(...found)
    return found.every(({ verdict }) => verdict !== 'wrong')
  }
  const redis = config.redisUrl === null ? null : findingsOf('online store', () => checkRedis(config.redisUrl ?? ''))
  const isThere = await add('database', async () => {
    requireMade(config)
    return await checkDatabase(await context.unmigratedDatabase(), name)
  })
  if (!isThere) {
    const rest = skipped('The database must answer first.')
    return [...findings, ...((await redis) ?? [{ check: 'online store', ...rest }]), { check: 'registry', ...rest }]
  }
  const db = await context.unmigratedDatabase()
  await add('rights', () => checkRights(db))
  await add('connections', () => checkConnections(db))
  await add('clock', () => checkDatabaseClock(db))
  const isMigrated = await add('migrations', () => checkMigrations(db))
  if (redis !== null) findings.push(...(await redis))
  if (!isMigrated) return [...findings, { check: 'registry', ...skipped('The migrations must be applied first.') }]
  await add('clock', () => checkServerClocks(db))
  if (redis === null) await add('online store', async () => checkEmbeddedStore(await context.store(), config))
  if (!(await add('registry', async () => checkRegistry(await context.catalog())))) return findings
  const catalog = await context.catalog()
  await add('sources', () => checkSources(db))
  let found: FoundProblems | null = null
  await add('views', async () => {
    try {
      found = await readProblems(db, await context.store(), catalog)
    } catch (error) {
      // the line of the store says why
      if (findings.some(({ check, verdict }) => check === 'online store' && verdict === 'wrong'))
        return skipped('The online store must be right first.')
      throw error
    }
    return checkViews(catalog, found)
  })
  if (found !== null) {
    const problems = found
    await add('worker', async () => checkWorker(db, catalog, problems))
    await add('alerts', () => checkAlerts(problems))
  }
  await add('channels', () => checkChannels(db))
  await add('models', () => checkModels(catalog))
  await add('outcomes', () => checkOutcomes(catalog, config))
  return findings
}
