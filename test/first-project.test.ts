import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { bareEnvironment } from './bare-environment.ts'
import { type Environment, killAll, postJson, type Running, startProgram, whenReady } from './cli/run-lockstep.ts'
import { type InstalledPackage, installMs, installPackage, programOf } from './install-package.ts'
import { startBrowser } from './services/browser.ts'
import { testDatabase, testRedis } from './services/index.ts'
import { visit } from './ui/visits.ts'

// The way of a newcomer, from an empty folder with the packed package: init, dev, an edit, a prediction, list; then the
// same project on PostgreSQL and Redis.

let folder = ''
let place: InstalledPackage
/** The commands that a user types after installing the package. */
const typed: string[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-first-'))
  place = await installPackage('first')
}, installMs)

afterAll(async () => {
  killAll()
  await rm(folder, { recursive: true, force: true })
})

function type(env: Environment, ...words: readonly string[]): Running {
  typed.push(words.join(' '))
  return startProgram({ main: programOf(place.installed), cwd: place.project }, env, ...words)
}

async function done(env: Environment, ...words: readonly string[]): Promise<string> {
  const { code, out, err } = await type(env, ...words).ended
  expect(code, `lockstep ${words.join(' ')}\n${out}\n${err}`).toBe(0)
  return out
}

/** Runs commands one after the other, as the package starts them: a process for each takes longer than the command. */
async function doneInOneProcess(env: Environment, commands: readonly string[]): Promise<string> {
  const main = join(place.project, 'commands.mjs')
  await writeFile(
    main,
    `import { run } from ${JSON.stringify(join(place.installed, 'cli/run.js'))}
for (const words of ${JSON.stringify(commands)}) {
  console.log('$ ' + words)
  process.exitCode ||= await run(words.split(' '), new AbortController().signal)
}
`,
  )
  const { code, out, err } = await startProgram({ main, cwd: place.project }, env).ended
  expect(code, `${out}\n${err}`).toBe(0)
  return out
}

/** How a project comes to PostgreSQL and Redis. The last command prints what they hold. */
const toOwnStores = ['migrate', 'apply', 'ingest payments data/payments.csv', 'model push fraud models/fraud.onnx', 'materialize', 'list']

/** A payment of a card in the sample rows, at a moment within them. */
const asked = { model: 'fraud', entities: [{ card: 'c36', amount: 150 }], asOf: '2026-02-20T12:00:00Z', include: ['features'] }

async function predicted(url: string): Promise<{ readonly probability: number; readonly features: Readonly<Record<string, unknown>> }> {
  const { status, body } = await postJson(`${url}/v1/predict`, asked)
  expect(status, JSON.stringify(body)).toBe(200)
  return { probability: body.predictions[0]?.probability ?? Number.NaN, features: body.features[0] ?? {} }
}

/** The faults of the package's dashboard pages. @param getLink logs in for a minute */
async function flawsOfPages(url: string, getLink: () => Promise<string>): Promise<string[]> {
  const browser = await startBrowser()
  try {
    const visits = await visit(browser, url)
    const link = (await getLink()).trim()
    await visits.go(link.slice(link.indexOf('#')))
    const flaws: string[] = []
    for (const path of pages) {
      await visits.to(path)
      const alerts = await visits.page.getByRole('alert').allTextContents()
      flaws.push(...[...alerts, ...visits.faults()].map((flaw) => `/ui/${path}: ${flaw}`))
    }
    return flaws
  } finally {
    await browser.close()
  }
}

const pages = [
  'alerts',
  'jobs',
  'catalog',
  'lineage?focus=spending@1',
  'sources/payments',
  'views/spending@1',
  'features/spending@1.paid1h',
  'services/fraud_features@1',
  'models/fraud',
  'rollouts/fraud',
  'explain?service=fraud_features&entity=card:c36',
  'receipt',
  'pipelines',
  'parity',
  'keys',
  'audit',
  'plan',
]

it('is served, edited and moved to PostgreSQL and Redis with few commands', { timeout: 900_000 }, async () => {
  const startedAt = Date.now()
  const embedded = { HOME: folder, PATH: bareEnvironment.PATH }
  await done(embedded, 'init')
  const dev = type(embedded, 'dev', '--port', '0')
  const [, url = ''] = await dev.until(/API +(http:\S+)/)
  // the request that dev prints is answered as it stands
  const [, path = '', body = ''] = await dev.until(/curl (\S+) -d '([^']+)'/)
  expect((await postJson(path, JSON.parse(body))).status).toBe(200)
  const first = await predicted(url)
  const seconds = (Date.now() - startedAt) / 1000

  const file = join(place.project, 'features.ts')
  const before = await readFile(file, 'utf8')
  const edited = before.replace("paid1h: count('1h')", "paid1h: count('7d')")
  expect(edited).not.toBe(before)
  await writeFile(file, edited)
  await dev.until(/paid1h\.window 1h → 7d/)
  const second = await predicted(url)
  expect(second.features['paid1h']).toBeGreaterThan(Number(first.features['paid1h']))
  expect(second.probability).not.toBe(first.probability)
  dev.child.kill('SIGINT')
  await dev.ended
  expect(existsSync(join(place.project, '.lockstep', 'dev'))).toBe(false)

  const [database, redis] = [await testDatabase({ migrate: false }), await testRedis()]
  try {
    const stores = `LOCKSTEP_POSTGRES_URL=${database.url}\nLOCKSTEP_REDIS_URL=${redis.url}\nLOCKSTEP_REDIS_PREFIX=${redis.prefix}\n`
    await writeFile(join(place.project, '.env'), stores)
    const printed = await doneInOneProcess(embedded, toOwnStores)
    expect(printed.slice(printed.indexOf('$ list'))).toContain('spending')
    const server = type(embedded, 'serve', '--port', '0', '--json')
    const [, served = ''] = await server.until(/"url": "(http:[^"]+)"/)
    await whenReady(served)
    // the value that a development store served is the one of the real stores
    expect(await predicted(served)).toEqual(second)
    const getLink = () => done({ ...embedded, LOCKSTEP_PORT: new URL(served).port }, 'ui')
    expect(await flawsOfPages(served, getLink)).toEqual([])
    server.child.kill('SIGTERM')
    expect((await server.ended).code).toBe(0)
  } finally {
    await database.drop()
  }

  // "npm install", and those up to the first own prediction: init, dev and the request itself
  const toFirstPrediction = 1 + typed.indexOf('dev --port 0') + 1 + 1
  expect(toFirstPrediction).toBeLessThanOrEqual(6)
  expect(seconds).toBeLessThan(300)
})
