import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { z } from 'zod'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Outcome } from '../../cli/command.ts'
import type { Context } from '../../cli/context.ts'
import { createContext } from '../../cli/context.ts'
import { jsonText } from '../../cli/report-error.ts'
import { prepare } from '../../cli/run.ts'
import { createTerminal } from '../../cli/terminal.ts'
import { applyChanges } from '../../registry/changes/apply.ts'
import type { DefinitionSet, Described } from '../../registry/load/definition-set.ts'
import { readInventory } from '../../registry/find/inventory.ts'
import { pruneDefinitions } from '../../registry/changes/prune.ts'
import { loadConfig } from '../../runtime/config.ts'
import { routes } from '../../serving/protocols/http/routes.ts'
import type { OpenApi } from '../../serving/protocols/http/openapi/openapi.ts'
import { nextServingSet } from './definitions.ts'
import type { World } from './world.ts'
import { ask, createWorld } from './world.ts'

/** A registry with two versions, an unused and a pruned definition, a training set, a model and hostile texts. */
const hostile = 'Delays\u001B[31m of\u009B2J <script>alert(1)</script>\nand\u202E a second line'
const described: Readonly<Record<string, Described>> = {
  airport_delays: { description: hostile, owner: 'flights-team', tags: ['flights', 'Core'] },
  airport: { description: 'A place where flights land', owner: 'flights-team', tags: ['core'] },
  flight: { owner: 'models-team', tags: ['core'] },
}

function describedSet(more: Readonly<Record<string, Described>> = {}): DefinitionSet {
  const set = nextServingSet()
  const withText = <T extends { readonly spec: { readonly name: string }; readonly operational: object }>(each: T): T => ({
    ...each,
    operational: { ...each.operational, ...described[each.spec.name], ...more[each.spec.name] },
  })
  const { entities, sources, views, services } = set
  // no view reads it, so it has no table yet
  const namesake = sources.slice(0, 1).map((each) => ({
    ...each,
    spec: { ...each.spec, name: 'airport', key: [{ part: 'no_entity', column: 'airport' }] },
    fingerprint: 'unread',
  }))
  const lonely = {
    spec: { name: 'gate', key: [{ name: 'gate', type: { kind: 'string' as const } }] },
    fingerprint: 'gate',
    operational: {},
  }
  return {
    ...set,
    entities: [...entities, lonely].map(withText),
    sources: [...sources, ...namesake],
    views: views.map(withText),
    services: services.map(withText),
  }
}

let world: World
let url: string
let context: Context
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-find-'))
  world = await createWorld('redis', describedSet())
  const { db } = world
  const rows = Array.from(
    { length: 20 },
    (_, n) => `('${n % 4 === 0 ? 'ATL' : 'ORD'}', '2001-07-01T11:${String(n + 10)}:00Z', ${n === 3 ? 'null' : n})`,
  )
  await db.query(`insert into lockstep_source.landings (airport, at, delay) values ${rows.join()}`)
  await db.query(`insert into lockstep_source.balances (account, at, balance) values (9007199254740993, '2001-07-01T11:00:00Z', 5)`)
  for (const view of ['airport_delays@1', 'airport_required', 'account_balance', 'airport_typed']) await world.materialize(view)
  await world.push('delay', 'logistic')
  await pruneDefinitions(db, ['noted@1', 'notes@1'], { actor: 'test' }, () => Promise.resolve())
  const config = loadConfig({ LOCKSTEP_POSTGRES_URL: world.postgresUrl, LOCKSTEP_DIR: folder, LOCKSTEP_LOG_LEVEL: 'silent' })
  const own = createContext(config, createTerminal(true), new AbortController().signal)
  context = { ...own, store: () => Promise.resolve(world.store) }
  const spine = `select 'ORD' as airport, timestamptz '2001-07-01 11:30:00Z' + i * interval '1 minute' as at, 500.5 as distance from generate_series(1, 9) i order by i`
  await run('dataset', 'create', 'flight@1', '--spine', spine, '--out', join(folder, 'set.jsonl'))
  const served = await world.serve()
  url = served.url
  await served.server.whenReady()
})
afterAll(async () => {
  await context?.close()
  await world?.close()
  await rm(folder, { recursive: true, force: true })
})

const run = async (...words: string[]): Promise<Outcome> => await (await prepare(words))(context)
const text = async (...words: string[]): Promise<string> => (await run(...words)).text
const jsonOf = ({ json: document }: Outcome): unknown => JSON.parse(jsonText(document))
const json = async (...words: string[]): Promise<unknown> => jsonOf(await run(...words))
const get = async (path: string, headers: Record<string, string> = {}): Promise<unknown> => {
  const { status, text: body } = await ask(url, path, undefined, headers)
  expect(status, `${path}\n${body}`).toBe(200)
  return JSON.parse(body)
}
/** Without what is another in every answer. */
const lasting = (answer: unknown): object => {
  const { requestId: _, ...rest } = answer as { readonly requestId?: string }
  return rest
}

describe('a list', () => {
  it('has each name once, with its versions, owner, tags and users', async () => {
    const { views, next } = (await get('/v1/views')) as { views: { name: string }[]; next: unknown }
    expect(next).toBeNull()
    expect(views.map(({ name }) => name).join(' ')).toBe(
      'account_balance airport_delays airport_offline airport_required airport_typed flight_context',
    )
    expect(views[1]).toMatchObject({
      kind: 'view',
      version: 2,
      versions: [1, 2],
      owner: 'flights-team',
      tags: ['flights', 'Core'],
      features: 2,
      about: '2 features of airport, from landings, continuous',
      usedBy: expect.arrayContaining([
        { kind: 'service', name: 'flight@1' },
        { kind: 'onDemand', name: 'flight_context@2' },
      ]),
    })
    expect(await get('/v1/entities')).toMatchObject({ entities: [{ name: 'account' }, { name: 'airport' }, { name: 'gate', usedBy: [] }] })
  })

  it('is filtered by owner and tag, in any case, on HTTP and on the command line', async () => {
    const names = (answer: unknown): unknown => Object.values(answer as Record<string, { name: string }[]>)[0]?.map(({ name }) => name)
    expect(names(await get('/v1/views?tag=core&owner=FLIGHTS-team'))).toEqual(['airport_delays'])
    expect(names(await get('/v1/services?owner=nobody'))).toEqual([])
    expect(names(await json('list', '--tag', 'core', '--owner', 'flights-team'))).toEqual(['airport', 'airport_delays'])
    await expect(run('list', 'veiws')).rejects.toMatchObject({ code: 'USAGE', message: expect.stringContaining('Did you mean "views"?') })
  })

  it('comes in pages, and as 304 until the registry or a training set changes', async () => {
    const first = (await get('/v1/views?limit=4')) as { views: object[]; next: string }
    const second = (await get(`/v1/views?limit=4&cursor=${first.next}`)) as { views: object[]; next: null }
    expect([first.views.length, second.views.length, second.next]).toEqual([4, 2, null])
    expect([...first.views, ...second.views]).toEqual(((await get('/v1/views')) as { views: object[] }).views)
    const entries: object[] = []
    for (let cursor: string | null = ''; cursor !== null;) {
      const page = (await get(`/v1/entries?limit=7${cursor === '' ? '' : `&cursor=${cursor}`}`)) as {
        entries: object[]
        next: string | null
      }
      entries.push(...page.entries)
      cursor = page.next
    }
    expect({ entries }).toEqual(await json('list'))
    const { headers } = await ask(url, '/v1/views')
    const etag = headers.get('etag') ?? ''
    const again = await fetch(`${url}/v1/views`, { headers: { 'if-none-match': `"other", ${etag}` } })
    expect([again.status, await again.text(), again.headers.get('etag')]).toEqual([304, '', etag])
    await world.db.query(
      `insert into lockstep.datasets (id, service, fingerprint, path, manifest) values ('other', 'flight@1', 'f', '/p', '{"file": {"rows": 3}, "otherFiles": [{"rows": 4}]}')`,
    )
    expect((await ask(url, '/v1/views', undefined, { 'if-none-match': etag })).status).toBe(200)
    expect(await text('list', 'datasets')).toMatch(/other +7 rows of flight@1, \/p\n/)
    const split =
      '{"file": {"rows": 3, "part": "train", "path": "/p.train"}, "otherFiles": [{"rows": 4, "part": "test", "path": "/p.test"}]}'
    await world.db.query(`update lockstep.datasets set manifest = '${split}' where id = 'other'`)
    expect(await text('list', 'datasets')).toMatch(/other +7 rows of flight@1, \/p\.train, \/p\.test\n/)
    await world.db.query(`delete from lockstep.datasets where id = 'other'`)
    expect((await ask(url, '/v1/views?cursor=x')).status).toBe(400)
  })

  it('has another mark in another registry, though its revision is the same', async () => {
    const { mark, revision } = await readInventory(world.db, 'all')
    await world.db.query(`update lockstep.definitions set created_at = created_at + interval '1 second'`)
    const other = await readInventory(world.db, 'all')
    expect([other.revision, other.mark === mark]).toEqual([revision, false])
    await world.db.query(`update lockstep.definitions set created_at = created_at - interval '1 second'`)
  })
})

describe('one definition', () => {
  it('is shown the same by HTTP and the command line, with all that is known of it', async () => {
    const page = lasting(await get('/v1/views/airport_delays?version=1'))
    expect(page).toMatchObject({
      kind: 'view',
      name: 'airport_delays',
      version: 1,
      versions: [{ version: 1, retired: false }, { version: 2 }],
      description: hostile,
      view: { entity: 'airport', source: 'landings', availability: 'continuous', online: true, key: [{ name: 'airport', type: 'string' }] },
      online: { ready: true, problem: null, freshness: { lag: { rows: 0 } } },
      uses: [
        { kind: 'source', name: 'landings' },
        { kind: 'entity', name: 'airport' },
      ],
      features: [
        { name: 'lastDelay', type: 'float64', computed: 'latest delay, at most 2 d old', default: null, required: false },
        { name: 'landed1h', computed: 'count over 1 h', statistics: { count: 9, nulls: 0, numbers: { min: expect.any(Number) } } },
      ],
      code: null,
      broken: null,
    })
    const shown = (await json('show', 'airport_delays@1')) as { online: { freshness: object } }
    const { newestRowSeconds: _, lastRunSeconds: __, ...freshness } = shown.online.freshness as Record<string, unknown>
    expect(page).toMatchObject({ ...shown, online: { ...shown.online, freshness }, example: expect.anything() })
  })

  it('has an example that answers 200 with values of a stored entity', async () => {
    for (const path of [
      'views/airport_delays?version=1',
      'services/flight?version=1',
      'entities/account',
      'services/strict',
      'services/route',
    ]) {
      const { example } = (await get(`/v1/${path}`)) as { example: { path: string; body: object; problem: null } }
      expect(example.problem, path).toBeNull()
      const answer = await ask(url, example.path, example.body)
      expect([answer.status, answer.text], path).toMatchObject([200, expect.stringContaining('PRESENT')])
    }
    const { example } = (await get('/v1/entities/account')) as { example: { body: { entities: object[] } } }
    expect(example.body.entities).toEqual([{ id: '9007199254740993' }])
    expect(await get('/v1/services/flight')).toMatchObject({
      version: 2,
      example: { problem: expect.stringContaining('not materialized') },
    })
  })

  it('explains what is pruned, unknown or ambiguous', async () => {
    expect(await get('/v1/views/notes')).toMatchObject({ version: 1, retired: true, example: null })
    expect((await ask(url, '/v1/views/airport_delay')).body.error).toMatchObject({
      code: 'UNKNOWN_DEFINITION',
      message: expect.stringContaining('Did you mean "airport_delays"?'),
    })
    expect((await ask(url, '/v1/views/airport_delays?version=9')).status).toBe(404)
    await expect(run('show', 'typed')).rejects.toMatchObject({ message: expect.stringContaining('"service/typed@1" or "model/typed"') })
    await expect(run('show', 'accounts@7')).rejects.toMatchObject({ message: expect.stringContaining('There is accounts@1.') })
    await expect(run('show', 'airport')).rejects.toMatchObject({ message: expect.stringContaining('"entity/airport" or "source/airport"') })
    await expect(json('show', 'entity/airport')).resolves.toMatchObject({ kind: 'entity', key: [{ name: 'airport', type: 'string' }] })
    await expect(json('show', 'source/airport')).resolves.toMatchObject({ rows: null })
  })

  it('sends no control character of a description to a terminal', async () => {
    for (const words of [['show', 'airport_delays@1'], ['list'], ['search', 'delays'], ['lineage', 'airport_delays']]) {
      const { text: printed, json: document } = await run(...words)
      expect(printed, words.join(' ')).not.toMatch(/[^\P{Cc}\n]|\u202E/u)
      expect(jsonText(document)).not.toMatch(/[^\P{Cc}\n]|\u202E/u)
    }
    expect(await text('show', 'airport_delays@1')).toContain(String.raw`Delays\u001b[31m of\u009b2J <script>alert(1)</script>`)
  })
})

describe('a search', () => {
  const found = async (q: string): Promise<readonly string[]> => {
    const { results } = (await get(`/v1/search?q=${encodeURIComponent(q)}`)) as {
      results: { kind: string; name: string; view: string | null }[]
    }
    expect(await json('search', q)).toEqual({ results })
    return results.map(({ kind, name, view }) => `${kind} ${name}${view === null ? '' : ` of ${view}`}`)
  }

  it('ranks the exact name, a prefix, a word, a substring, and a close spelling', async () => {
    expect(await found('airport')).toEqual([
      'entity airport',
      'source airport',
      ...['airport_delays', 'airport_offline', 'airport_required', 'airport_typed'].map((name) => `view ${name}`),
      'source landings',
    ])
    expect((await found('delay')).slice(0, 4)).toEqual([
      'model delay',
      'feature lastDelay of airport_delays@2',
      'feature offlineDelay of airport_offline@1',
      'feature neededDelay of airport_required@1',
    ])
    expect(await found('arport_delays')).toEqual(['view airport_delays'])
    expect(await found('second LINE')).toEqual(['view airport_delays'])
    expect(await found('flights alert')).toEqual(['view airport_delays'])
    expect(await found('request.distance')).toEqual(['onDemand flight_context'])
    expect(await found('nothing like this at all')).toEqual([])
  })
})

describe('the lineage', () => {
  it('goes from tables to models and training sets, in both directions', async () => {
    const edges = async (path: string): Promise<string[]> => {
      const answer = lasting(await get(path)) as { edges: { from: string; to: string }[] }
      return answer.edges.map(({ from, to }) => `${from} > ${to}`)
    }
    const up = await edges('/v1/lineage/modelVersion/delay@1?direction=up')
    expect(up.toSorted()).toEqual([
      'entity airport > view airport_delays@1',
      'onDemand flight_context@1 > service flight@1',
      'service flight@1 > modelVersion delay@1',
      'source landings > view airport_delays@1',
      'table lockstep_source.landings > source landings',
      'view airport_delays@1 > onDemand flight_context@1',
      'view airport_delays@1 > service flight@1',
    ])
    const down = await edges('/v1/lineage/table/lockstep_source.balances?direction=down')
    expect(down).toEqual([
      'table lockstep_source.balances > source balances',
      'source balances > view account_balance@1',
      'view account_balance@1 > service accounts@1',
    ])
    expect((await edges('/v1/lineage/service/flight@1?direction=down')).filter((edge) => edge.includes('dataset'))).toHaveLength(1)
    expect(await json('lineage', 'delay@1', '--up')).toEqual(lasting(await get('/v1/lineage/modelVersion/delay@1?direction=up')))
    expect((await ask(url, '/v1/lineage/thing/x')).body.error.code).toBe('INVALID_REQUEST')
  })

  it('is drawn as two trees, with pruned definitions marked', async () => {
    expect(await text('lineage', 'account_balance')).toBe(
      `feature view account_balance@1

is made from
├─ source balances
│  └─ table lockstep_source.balances
└─ entity account

is used by
└─ feature service accounts@1`,
    )
    expect(await text('lineage', 'noted', '--up')).toMatch(/^feature service noted@1 \(pruned\)\n[^]*└─ on-demand view notes@1 \(pruned\)$/)
  })
})

describe('features get', () => {
  it('answers what a server answers', async () => {
    const entities = [
      { airport: 'ORD', distance: 500.5 },
      { airport: 'XXX', distance: 500.5 },
    ]
    const asOf = '2001-07-01T11:45:00Z'
    const served = (await ask(url, '/v1/features', { service: 'flight@1', entities, asOf, include: ['eventTimes'] })).body
    const words = [
      'features',
      'get',
      'flight@1',
      '--entity',
      'airport=ORD',
      '--entity',
      '{"airport": "XXX"}',
      '--request',
      'distance=500.5',
      '--as-of',
      asOf,
    ]
    const read = (await json(...words)) as { results: { entity: object }[] }
    expect(read).toMatchObject({ service: 'flight', version: 1, asOf })
    expect(read.results).toEqual(served.results.map((result, i) => ({ entity: entities[i], ...result })))
    expect(await text(...words)).toMatch(
      /\{"airport":"ORD","distance":500.5\}\n {2}FEATURE +STATUS +EVENT TIME +VALUE\n {2}lastDelay +PRESENT +2001/,
    )
    expect(await json('features', 'get', 'accounts', '--entity', 'id=9007199254740993', '--as-of', asOf)).toMatchObject({
      results: [{ features: { balance: '5' } }],
    })
    await expect(run('features', 'get', 'flight@1', '--entity', 'airprt=ORD')).rejects.toMatchObject({
      message: expect.stringContaining('Did you mean "airport"?'),
    })
    await expect(run('features', 'get', 'flight@1')).rejects.toMatchObject({ message: expect.stringContaining('needs --entity airport=…') })
    const entity = ['--entity', 'airport=ORD']
    // each option is one entity
    await expect(run('features', 'get', 'flight@1', ...entity, '--entity', 'distance=1')).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringContaining('Write all keys of an entity in one option: --entity airport=…') as string,
    })
    await expect(run('features', 'get', 'flight@1', ...entity)).rejects.toMatchObject({
      code: 'MISSING_REQUEST_VALUE',
      message: expect.stringContaining('"distance" of entity 0 is missing; send it as float64. Write it as --request distance=….'),
    })
    expect(await json('features', 'get', 'flight', ...entity, '--request', 'distance=1')).toMatchObject({ version: 1 })
    await expect(run('features', 'get', 'flight@2', ...entity)).rejects.toMatchObject({ code: 'NOT_READY' })
  })
})

it('a server finds for the command line what the database does', async () => {
  const asked = [
    ['list', 'views', '--tag', 'core'],
    ['search', 'delay', '--limit', '5'],
    ['lineage', 'flight@1'],
    ['lineage', 'entity/airport', '--down'],
    ['show', 'source/landings'],
    ['show', 'flight@1'],
    ['features', 'get', 'accounts', '--entity', 'id=9007199254740993', '--as-of', '2001-07-01T11:45:00Z'],
  ]
  for (const words of asked) {
    const [there, here] = [await run(...words, '--server', url), await run(...words)]
    // the server's clock is that of its rows, and so its example needs no moment
    const [before = '', after = ''] = [there, here].map((outcome) => outcome.text.split('Ask it:')[0])
    expect([words, before]).toEqual([words, after])
    if (words[0] === 'list' || words[0] === 'search' || words[0] === 'lineage') expect(jsonOf(there)).toEqual(jsonOf(here))
  }
  await expect(run('show', 'airport', '--server', url)).rejects.toMatchObject({
    message: expect.stringContaining('"entity/airport" or "source/airport"'),
  })
  await expect(run('features', 'get', 'flight@1', '--entity', 'airprt=X', '--server', url)).rejects.toMatchObject({
    code: 'INVALID_ENTITY',
  })
})

/**
 * Routes that answer only with a worker, an upload, declared files, an outcome, a baseline, a second version, or a job,
 * alias or rollout in the right state.
 */
const needMore =
  '/materialize /materialize-incremental /cancel /retry /rollback /files /sync /v1/models/{name}/versions /v1/outcomes /quality /drift /baseline /pin /rollout /share /pause /resume /abort /promote /shadow /stop'.split(
    ' ',
  )

it('the examples of the OpenAPI document are answered, whatever route', async () => {
  const { paths } = (await get('/openapi.json')) as OpenApi
  const sent: string[] = []
  const refused: string[] = []
  for (const [path, operations] of Object.entries(paths)) {
    for (const [method, { parameters, requestBody, responses }] of Object.entries(operations)) {
      const named = parameters.flatMap((each) => ('in' in each && each.required ? [each] : []))
      const content = requestBody?.content['application/json']
      const isMade =
        named.every(({ example }) => example !== undefined) && (requestBody?.required !== true || content?.example !== undefined)
      if (!isMade || needMore.some((end) => path.endsWith(end))) continue
      const at = named.reduce((text, { name, in: place, example = '' }) => {
        if (place === 'query') return `${text}?${name}=${encodeURIComponent(example)}`
        return text.replace(`{${name}}`, encodeURIComponent(example))
      }, path)
      const body = content?.example === undefined ? {} : { body: JSON.stringify(content.example) }
      const answer = await fetch(url + at, { method: method.toUpperCase(), headers: { 'content-type': 'application/json' }, ...body })
      sent.push(path)
      if (!Object.hasOwn(responses, answer.status)) refused.push(`${method} ${at}: ${answer.status} ${await answer.text()}`)
    }
  }
  expect(refused).toEqual([])
  expect(sent.length).toBeGreaterThan(30)
  expect(sent).toEqual(expect.arrayContaining(['/v1/search', '/v1/lineage/{kind}/{name}', '/v1/views/{name}', '/v1/predict', '/push']))
})

it('each route that documents a query checks it first', async () => {
  for (const { method, path, query } of routes) {
    if (query === undefined) continue
    const answer = await fetch(`${url}${path.replaceAll(/:\w+/g, 'none')}?other=%00`, { method })
    expect(await answer.text(), `${method} ${path}`).toMatch(/The query of the URL is not valid: \\*"other\\*" has a zero byte/)
    expect(answer.status).toBe(400)
  }
})

it('the answers have the documented fields', async () => {
  for (const path of [
    'entities',
    'sources/landings',
    'views',
    'views/airport_delays?version=1',
    'services/flight',
    'entries',
    'entries/airport?kind=entity',
    'search?q=delay',
    'lineage/source/landings',
  ]) {
    const [plain = ''] = path.split('?')
    const [plural = '', name] = plain.split('/')
    const route = routes.find(
      (each) =>
        each.path === (name === undefined ? `/v1/${plural}` : plural === 'lineage' ? '/v1/lineage/:kind/:name' : `/v1/${plural}/:name`),
    )
    const schema = route?.answer as z.ZodObject
    // fields that are not documented are not parsed
    const answer = await get(`/v1/${path}`)
    expect(schema.strict().parse(answer), path).toEqual(answer)
  }
})

it('other tags come without a new version, and lists have them at once', async () => {
  const { headers } = await ask(url, '/v1/services')
  const changed = await applyChanges(world.db, describedSet({ route: { tags: ['maps'] } }))
  expect(changed.plan.changes.filter(({ status }) => status === 'changed')).toMatchObject([{ label: 'route@1' }])
  const answer = await ask(url, '/v1/services?tag=maps', undefined, { 'if-none-match': headers.get('etag') ?? '' })
  expect([answer.status, answer.body]).toMatchObject([200, { services: [{ name: 'route', versions: [1], tags: ['maps'] }] }])
})

it('10,000 features are listed and searched in little time', async () => {
  const [view] = describedSet().views
  if (view === undefined) throw new Error('The set has a view.')
  const [feature] = view.spec.features
  const many = Array.from({ length: 500 }, (_, v) => {
    const features = Array.from({ length: 20 }, (__, f) => ({ ...feature, name: `feature${v}x${f}` }) as typeof feature & {})
    const spec = { ...view.spec, name: `many_${v}`, features }
    return { ...view, spec, fingerprint: `many ${v}`, operational: { online: false } }
  })
  // processor time, as others run beside it, and compared with that of applying them, as machines differ
  const before = process.cpuUsage()
  await applyChanges(world.db, { ...describedSet(), views: [...describedSet().views, ...many] })
  const applying = process.cpuUsage(before).user
  const begun = process.cpuUsage()
  let cursor = ''
  let views = 0
  do {
    const page = (await get(`/v1/views?limit=200${cursor}`)) as { views: object[]; next: string | null }
    views += page.views.length
    cursor = page.next === null ? '' : `&cursor=${page.next}`
  } while (cursor !== '')
  expect(views).toBe(507)
  const { results } = (await get('/v1/search?q=feature499x19')) as { results: object[] }
  expect(results).toMatchObject([{ kind: 'feature', name: 'feature499x19', view: 'many_499@1' }])
  // about 3 times
  expect(process.cpuUsage(begun).user / applying).toBeLessThan(30)
})
