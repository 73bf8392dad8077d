import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { recordEvaluation } from '../../../monitoring/alerts/record-evaluation.ts'
import { readClients } from '../../../monitoring/prediction-log/read-clients.ts'
import { storeParity } from '../../../monitoring/parity/stored-parity.ts'
import { createKey, keysRevision } from '../../../registry/keys/api-keys.ts'
import { catalogRevision } from '../../../registry/revision.ts'
import { encodeKey } from '../../../kernel/values/entity-key.ts'
import { formatTimestamp } from '../../../kernel/values/time.ts'
import { keepDeadLetters } from '../../../materializer/streams/dead-letters.ts'
import { loggedEntity } from '../../../materializer/erase/logged-entity.ts'
import { readAudit } from '../../../runtime/audit.ts'
import type { AlertsData } from '../../../serving/dashboard/contract/alerts.ts'
import type { LineageData } from '../../../serving/dashboard/contract/lineage.ts'
import { entityHash } from '../../../serving/dashboard/explain/audit-read.ts'
import { readModels } from '../../../serving/dashboard/read-models.ts'
import { waysOf } from '../../../ui/parts/ways.ts'
import { checked, clockMonitor, hookAt, minute, result } from '../../monitoring/alerts/monitors.ts'
import { declared } from '../definitions.ts'
import type { World } from '../world.ts'
import { landingsPipeline, streamingSet } from '../streaming/pipeline-world.ts'
import { ask, createWorld, noon } from '../world.ts'
import type { Visitor } from './visitor.ts'
import { createVisitor } from './visitor.ts'

let world: World
let url: string
let ann: Visitor
beforeAll(async () => {
  const stream = { kind: 'redis', stream: 'landed', group: 'landings', field: 'data' } as const
  const set = streamingSet(stream, [landingsPipeline()])
  const unlisted = set.views
    .slice(0, 1)
    .map(({ spec, operational }) => ({ ...declared({ ...spec, name: 'airport_unlisted' }), operational }))
  world = await createWorld('embedded', { ...set, views: [...set.views, ...unlisted] })
  await world.db.script(`
    insert into lockstep_source.landings (airport, at, delay) values
      ('ATL', '2001-07-01T11:30:00Z', 7), ('ATL', '2001-07-01T11:30:00Z', 25), ('ATL', '2001-07-01T10:00:00Z', 5),
      ('ATL', '2001-07-01T12:30:00Z', 99), ('OLD', '2001-06-01T00:00:00Z', 7)`)
  for (const view of ['airport_required', 'airport_delays']) await world.materialize(view)
  await world.push('delay', 'logistic')
  await world.push('delay', 'logistic', 'second')
  const served = await world.serve({
    config: { bodyLimitBytes: 10_000, logShares: { share: 1, models: new Map() } },
    predictionLog: { flushMs: 10 },
  })
  url = served.url
  await served.server.whenReady()
  await recordEvaluation(world.db, clockMonitor('clock'), hookAt('https://alerts.example'), minute, checked(result('breach')))
  ann = createVisitor(url)
  await ann.login(world.db)
})
afterAll(() => world?.close())

/** Creates a key as a page that has just read the list does. */
const create = async (visitor: Visitor, body: object) => await visitor.post('/keys', body, String(await keysRevision(world.db)))
const auditOf = async () =>
  ((await ann.data('/audit')) as { records: { who: string; what: string; subject: string; reason: string }[] }).records
const alertsNow = async () => ((await ann.data('/alerts')) as AlertsData).alerts

/** The values of parameters of paths. */
const examples: Readonly<Record<string, string>> = {
  '/views/:id': '/views/airport_delays',
  '/views/:id/freshness': '/views/airport_delays@1/freshness',
  '/sources/:id': '/sources/landings',
  '/services/:id': '/services/flight',
  '/features/:id/stats': '/features/airport_delays@1.lastDelay/stats',
  '/models/:id': '/models/delay',
  '/models/:id/over-time': '/models/delay/over-time',
  '/models/:id/quality': '/models/delay/quality',
  '/models/:id/calibration': '/models/delay/calibration',
  '/search': '/search?q=airport',
  '/rollouts/:id': '/rollouts/delay',
  '/rollouts/:id/decisions/:decision': '/rollouts/delay/decisions/1',
  '/explain': '/explain?entity=airport:a&at=2001-07-01T12:00:00Z',
  '/experiments/:id/series': '/experiments/none/series',
  '/receipts/:id': '/receipts/none',
  '/trainings/:id': '/trainings/none',
  '/pipelines/:id': '/pipelines/score',
  '/pipelines/:id/dead-letters': '/pipelines/score/dead-letters',
  '/sources/:id/dead-letters': '/sources/landings/dead-letters',
  '/impact': `/impact?of=${encodeURIComponent('view airport_delays@1\nview unknown@1')}`,
  '/lineage': '/lineage?focus=airport_delays&up=2&down=3',
}

/** Pages of things that this world does not have. */
const absent = new Set(['/trainings/:id', '/rollouts/:id/decisions/:decision', '/experiments/:id/series', '/receipts/:id'])

describe('every read model', () => {
  it.each(readModels.map((model) => [model.path, model] as const))(
    'answers by its contract: %s',
    async (path, { data, isOfNow = false }) => {
      const example = examples[path] ?? path
      const seen = await ann.ask(`/ui/api${example}`)
      // their own tests below have one
      if (absent.has(path)) return expect(seen.body.error?.code).toMatch(/^(NOT_FOUND|UNKNOWN_DEFINITION)$/)
      expect([seen.status, seen.body.error]).toEqual([200, undefined])
      // nothing is left out, and nothing is there that the contract does not name
      expect(data.parse(seen.body.data)).toEqual(seen.body.data)
      expect(seen.body.asOf).toBe('2001-07-01T12:00:00Z')
      const known = { headers: { 'if-none-match': seen.headers.etag ?? '' } }
      expect(await ann.ask(`/ui/api${example}`, known)).toMatchObject({ status: 304, text: '' })
      // and of a moment, or of now where it says so
      const moment = '2001-07-01T11:00:00Z'
      const then = await ann.ask(`/ui/api${example}${example.includes('?') ? '&' : '?'}asOf=${moment}`)
      expect([then.status, then.body.error, then.body.asOf]).toEqual([200, undefined, isOfNow ? seen.body.asOf : moment])
      expect(data.parse(then.body.data)).toEqual(then.body.data)
    },
  )
})

interface Explained {
  readonly views: readonly {
    readonly rows: readonly { readonly visible: number; readonly values: Readonly<Record<string, string | null>> }[]
    readonly features: readonly {
      readonly feature: string
      readonly steps: readonly {
        readonly t: number
        readonly value: string | null
        readonly status: string
        readonly rows: readonly number[]
      }[]
    }[]
  }[]
  readonly served: readonly { readonly predictionId: string }[]
  readonly differences: readonly object[]
}

describe('explain', () => {
  it('has an example of a view by its own key, and none of an on-demand view', async () => {
    expect(await ann.data('/views/airport_delays')).toMatchObject({ example: expect.stringMatching(/^\{"airport":"\w+"\}$/) as unknown })
    expect(await ann.data('/features/airport_delays@1.lastDelay/stats')).toMatchObject({
      example: expect.stringMatching(/^\{"airport":"\w+"\}$/) as unknown,
      uses: expect.arrayContaining([{ model: 'delay', column: 'lastDelay' }]) as unknown,
    })
    expect(await ann.data('/views/flight_context')).toMatchObject({ example: null })
  })

  it('shows a transform in lines', async () => {
    const { code } = (await ann.data('/views/notes')) as { code: string }
    expect(code).toContain('=> {\n  if (request.note === "")')
  })

  it('begins with views whose features services have', async () => {
    expect(await ann.data('/explain?entity=airport:ATL')).toMatchObject({ name: 'airport_typed@1' })
    const { names } = (await ann.data('/explain/start')) as { names: { name: string; kind: string }[] }
    expect(names.at(-1)).toMatchObject({ name: 'airport_unlisted@1', kind: 'view' })
  })

  it('has at each step the value that a request gets at that moment, and the rows in it', async () => {
    const at =
      '/explain?service=airport_delays&entity=airport:ATL&at=2001-07-01T12:00:00Z&from=2001-06-30T00:00:00Z&to=2001-07-04T00:00:00Z'
    const { views } = (await ann.data(at)) as Explained
    const [view] = views
    const moments = view?.features[0]?.steps.map(({ t }) => t) ?? []
    expect(moments.length).toBeGreaterThan(5)
    for (const [i, moment] of moments.entries()) {
      const asOf = formatTimestamp(Math.round(moment * 1000))
      const { body } = await ask(url, '/v1/features', { service: 'history', asOf, entities: [{ airport: 'ATL' }] })
      const { features = {}, statuses = {} } = body.results[0] ?? {}
      for (const { feature, steps } of view?.features ?? []) {
        const value = features[feature] ?? null
        expect([asOf, feature, steps[i]?.value, steps[i]?.status]).toEqual([
          asOf,
          feature,
          value === null ? null : JSON.stringify(value),
          statuses[feature],
        ])
        if (feature === 'landed1h') expect([asOf, steps[i]?.rows.length]).toEqual([asOf, Number(value)])
      }
    }
    const noon = view?.features
      .find(({ feature }) => feature === 'lastDelay')
      ?.steps.find(({ t }) => t === Date.parse('2001-07-01T12:00:00Z'))
    expect(noon?.rows.map((i) => view?.rows[i]?.values['delay'])).toEqual(['25'])
  })

  it('shows what was answered and its receipt, and both are in the audit log', async () => {
    const entities = [{ airport: 'ATL', distance: 500 }]
    const answer = await ask(url, '/v1/predict', { model: 'delay', entities })
    const { requestId } = answer.body as unknown as { requestId: string }
    await expect.poll(async () => (await ann.ask(`/ui/api/receipts/${requestId}`)).status).toBe(200)
    const receipt = (await ann.data(`/receipts/${requestId}`)) as { predictions: readonly object[] }
    expect(receipt.predictions).toMatchObject([
      {
        model: 'delay',
        entity: '{"airport":"ATL"}',
        outcomes: [],
        features: expect.arrayContaining([
          expect.objectContaining({ feature: 'lastDelay', view: 'airport_delays@1', value: '25', isSame: true }),
          // by the code that serves it, from the logged distance
          expect.objectContaining({ feature: 'pressure', view: 'flight_context@1', value: '0.05', isSame: true }),
        ]) as unknown,
        recomputed: expect.stringMatching(/^All \d+ features come out the same as of then\.$/) as unknown,
      },
    ])
    const [{ stages, latencyMs, outputs }] = receipt.predictions as [
      { stages: { name: string; ms: number }[]; latencyMs: number; outputs: Record<string, string> },
    ]
    expect(stages.map(({ name }) => name).slice(0, 6)).toEqual([
      'Match, admit, authorize, parse',
      'Read features',
      'Transform',
      'Wait for the model',
      'Run the model',
      'Encode the answer',
    ])
    // the stages follow one another, and each is rounded to a microsecond
    expect(stages.reduce((sum, { ms }) => sum + ms, 0)).toBeCloseTo(latencyMs, 2)
    expect(stages[4]?.ms).toBeGreaterThan(0)
    const at = '/explain?service=flight&entity=%7B%22airport%22%3A%22ATL%22%7D&from=2001-07-01T11:00:00Z&to=2001-07-01T13:00:00Z'
    const { served, differences } = (await ann.data(at)) as Explained
    expect([served.length, differences]).toEqual([1, []])
    const audited = async () =>
      (await auditOf()).filter(({ what }) => what === 'receipt' || what === 'explain').map(({ who, subject }) => `${who} ${subject}`)
    await expect.poll(audited).toEqual(expect.arrayContaining(['ann@laptop flight@1', 'ann@laptop delay']))
    // the list of what can be explained has keys, too
    const { recent } = (await ann.data('/explain/start')) as { recent: readonly object[] }
    expect(recent).toMatchObject([{ entity: '{"airport":"ATL"}', asOf: '2001-07-01T12:00:00Z', outputs }])
    expect(Object.keys(outputs)).not.toEqual([])
    await expect.poll(audited).toContain('ann@laptop examples')
    expect(JSON.stringify(await auditOf())).not.toContain('ATL')
    // who knows the database's secret finds the readers of an entity
    const entity = await entityHash(world.db, { airport: 'ATL' })
    const found = await readAudit(world.db, { entity, limit: 10 })
    expect(found.map(({ subject }) => subject)).toEqual(expect.arrayContaining(['delay', 'examples', 'flight@1']))
    expect(await readAudit(world.db, { entity: await entityHash(world.db, { airport: 'BOS' }), limit: 10 })).toEqual([])
    expect(await entityHash(world.db, { b: 1, a: 'x' })).toBe(await entityHash(world.db, { a: 'x', b: '1' }))
  })

  it('is refused without its scope, and for what is no entity', async () => {
    const { text } = await createKey(world.db, {
      name: 'ui',
      scopes: ['ui:admin'],
      requestsPerSecond: null,
      rowsPerSecond: null,
      expiresAt: null,
    })
    const bob = createVisitor(url)
    await bob.login(world.db, { key: text })
    for (const path of ['/explain?entity=airport:ATL', '/explain/start', '/receipts/x'])
      expect(await bob.ask(`/ui/api${path}`)).toMatchObject({ status: 403, body: { error: { code: 'FORBIDDEN' } } })
    for (const [entity, code] of [
      ['nothing', 'INVALID_ENTITY'],
      ['airport', 'INVALID_ENTITY'],
      ['%7B%22other%22:1%7D', 'UNKNOWN_DEFINITION'],
    ])
      expect((await ann.ask(`/ui/api/explain?entity=${entity}`)).body.error?.code).toBe(code)
    expect((await ann.ask('/ui/api/explain?entity=airport:ATL&at=yesterday')).status).toBe(400)
  })
})

describe('explain of an entity with many rows', () => {
  it('leaves rows out and counts them, and compares an answer with the value at its own moment', async () => {
    await world.db.script(`
      insert into lockstep_source.landings (airport, at, delay)
      select 'HOT', timestamptz '2001-07-01T11:00:00Z' + i * interval '250 ms', i from generate_series(1, 12000) i`)
    // an answer of noon about another airport becomes one about this
    const named = (key: string) => loggedEntity('airport', encodeKey([{ name: 'airport', type: { kind: 'string' } }], [key]))
    const store = async (keys: object, entity: Buffer) => {
      const features = { lastDelay: 12000, landed1h: 12000 }
      await world.db.query('update lockstep.prediction_log set keys = $1, entities = $2, features = $3', [
        JSON.stringify(keys),
        [entity],
        JSON.stringify(features),
      ])
    }
    await store({ airport: 'HOT' }, named('HOT'))
    const at = '/explain?service=flight&entity=%7B%22airport%22%3A%22HOT%22%7D&from=2001-07-01T11:00:00Z&to=2001-07-01T13:00:00Z'
    const { views, served, differences } = (await ann.data(`${at}&at=2001-07-01T11:01:00Z`)) as Explained
    expect(views[0]).toMatchObject({ cut: 12000 - 200, rows: { length: 200 } })
    // moments before the rows that are at hand have their values, too
    const steps = views[0]?.features.find(({ feature }) => feature === 'landed1h')?.steps ?? []
    expect(steps.length).toBeLessThan(150)
    const early = steps.filter(({ t }) => t < Date.UTC(2001, 6, 1, 11, 20))
    expect(early.length).toBeGreaterThan(5)
    for (const { t, value } of early) expect([t, value]).toEqual([t, String(Math.floor((t - Date.UTC(2001, 6, 1, 11)) / 250))])
    expect([served.length, differences]).toEqual([1, []])
    // what training would not see
    await world.db.query('update lockstep.prediction_log set features = $1', [JSON.stringify({ lastDelay: 1, landed1h: 12000 })])
    const why = /^The answer was given at 2001-\S+ for 2001-07-01T12:00:00Z: a row that counts now had not arrived then, or /
    expect(((await ann.data(at)) as Explained).differences).toEqual([
      { t: noon / 1000, feature: 'lastDelay', trained: '12000', served: '1', why: expect.stringMatching(why) as string },
    ])
    // keys of the same name and value that are another entity's
    await store({ airport: 'HOT' }, named('ATL'))
    expect(((await ann.data(at)) as Explained).served).toEqual([])
  })
})

describe('parity', () => {
  it('is by feature and hour, as the checks of servers stored it', async () => {
    const equal = { late: 0, stale: 0, tie: 0, ttl: 0, erased: 0, other: 0 }
    const features = [
      { service: 'flight@1', feature: 'lastDelay', view: 'airport_delays@1', ...equal, equal: 8, late: 2, erased: 3 },
    ] as const
    const example = {
      verdict: 'late',
      service: 'flight@1',
      feature: 'lastDelay',
      model: 'delay',
      version: 1,
      requestId: 'r1',
      entity: 0,
      keys: {},
    } as const
    const shown = { asOf: '2001-07-01T11:10:00Z', logged: { value: 1, status: 'PRESENT', eventTime: null }, history: null } as const
    const skipped = { skipped: { definitions: 0, degraded: 0, unreadable: 0 }, skippedBecause: [] }
    const report = { vectors: 10, ...skipped, features, examples: [{ ...example, ...shown }] }
    for (let check = 0; check < 2; check++) await storeParity(world.db, report, noon - 50 * 60_000_000)
    expect(await ann.data('/parity?from=2001-07-01T10:00:00Z&to=2001-07-01T12:00:00Z')).toEqual({
      finding:
        '20 % of 20 served values differ from those of training. 6 more cannot be compared, because rows of their sources were erased since.',
      checkedAt: '2001-07-01T11:00:00.000Z',
      times: [10, 11, 12].map((hour) => Date.UTC(2001, 6, 1, hour)),
      rows: [
        {
          feature: 'lastDelay',
          view: 'airport_delays@1',
          cells: [null, { checked: 20, erased: 6, share: 0.2, by: { late: 4 }, example: 'r1' }, null],
        },
      ],
    })
  })
})

describe('what a change breaks', () => {
  it('is listed with the clients of the models, by the names of their keys', async () => {
    const by = { requestsPerSecond: null, rowsPerSecond: null, expiresAt: null }
    await createKey(world.db, { name: 'shop', scopes: ['predict'], ...by })
    const set = 'update lockstep.prediction_log set api_key = (select id from lockstep.api_keys where name = $1)'
    await world.db.query(set, ['shop'])
    const { clients, revision } = (await ann.data(`/impact?of=${encodeURIComponent('service flight@1')}`)) as {
      clients: object
      revision: number
    }
    // a plan of another revision is outdated
    expect(revision).toBe(await catalogRevision(world.db))
    expect(clients).toMatchObject({ delay: ['shop'], echo: [] })
    await world.db.query(set, [null])
  })

  it('finds clients in 20,000 logged rows of each time, however many there are', async () => {
    await world.db.script(`
      create table one as select * from lockstep.prediction_log limit 1;
      update one set model = 'copy', at = '2001-07-01T11:59:30Z';
      insert into lockstep.prediction_log select one.* from one, generate_series(1, 25000)`)
    const plans: object[] = []
    async function query<Row>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
      plans.push(...(await world.db.query<object>(`explain (analyze, format json) ${text}`, values)))
      return []
    }
    await readClients({ query }, noon)
    const scanned = [...JSON.stringify(plans).matchAll(/"Relation Name":"prediction_log[^{]*?"Actual Rows":(\d+)/g)].map(([, rows]) =>
      Number(rows),
    )
    expect(scanned).toEqual([20_000, 20_000, 20_000])
    await world.db.script(`drop table one; delete from lockstep.prediction_log where model = 'copy'`)
  })
})

describe('the lineage', () => {
  it.each(['source/landings', 'entity/airport', 'view/airport_delays@1', 'service/flight@1', 'model/delay'])(
    'of %s has the definitions that SQL finds',
    async (focus) => {
      const [kind = '', name = ''] = focus.split('/')
      const found = await world.db.query<{ key: string }>(
        `select concat(kind, ' ', name, '@' || nullif(version, 0)) as key from (${waysOf.readers(kind, name)().sql}) made`,
      )
      const { nodes } = (await ann.data(`/lineage?focus=${focus}&up=0&down=10`)) as LineageData
      const defined = nodes.filter((node) => !['stream', 'modelVersion'].includes(node.kind)).map(({ key }) => key)
      expect(found.map(({ key }) => key).toSorted()).toEqual(defined.toSorted())
    },
  )
})

describe('dead letters of a pipeline', () => {
  it('are listed, the newest hundred without their bodies, and counted', async () => {
    const letters = Array.from({ length: 120 }, (_, i) => ({
      message: `0-${i}`,
      body: Buffer.from('{}'),
      reason: 'not_json',
      error: 'It is late.',
    }))
    const stream = { kind: 'redis', stream: 'landed', group: 'landings', field: 'data' } as const
    await keepDeadLetters(world.db, 'pipeline score', stream, letters)
    const shown = (await ann.data('/pipelines/score/dead-letters')) as { total: number; letters: object[] }
    expect([shown.total, shown.letters.length]).toEqual([120, 100])
    expect(shown.letters[0]).toMatchObject({ message: '0-119', reason: 'not_json', error: 'It is late.', bytes: 2 })
    await keepDeadLetters(world.db, 'landings', stream, letters.slice(0, 2))
    // an answer may be three seconds old, but not one as of a moment that nobody asked for before
    const came = `update lockstep.stream_dead_letters set at = timestamptz '2001-07-01T11:50:00Z' + split_part(message, '-', 2)::int * interval '1 second'`
    await world.db.query(came)
    const pipeline = await ann.data('/pipelines/score?asOf=2001-07-01T11:50:09Z')
    expect(pipeline).toMatchObject({ pipeline: { deadLetters: 10 }, dead: [{ reason: 'not_json', count: 10 }], sourceDead: 2 })
    const then = (await ann.data('/pipelines/score/dead-letters?asOf=2001-07-01T11:50:09Z')) as { total: number; letters: object[] }
    expect([then.total, then.letters.length, then.letters[0]]).toMatchObject([10, 10, { message: '0-9' }])
    // those of the source are on its page, too
    expect(await ann.data('/sources/landings/dead-letters')).toMatchObject({ total: 2, letters: [{ message: '0-1' }, { message: '0-0' }] })
    expect(await ann.data('/sources/landings?asOf=2001-07-01T11:50:00Z')).toMatchObject({ dead: [{ reason: 'not_json', count: 1 }] })
    await world.db.query('delete from lockstep.stream_dead_letters')
  })
})

describe('text of users', () => {
  const hostile = [
    '<img src=x onerror=alert(1)>',
    '</script><script>alert(1)</script>',
    'javascript:alert(1)',
    '\u202egnp.exe',
    "'; drop table x; --",
    '{{7*7}}',
    '\ud800',
  ]

  it.each(hostile)('is JSON text in every answer, and nothing else: %j', async (text) => {
    const encoded = encodeURIComponent(text.toWellFormed())
    const made = await create(ann, { name: text, scopes: ['read'], reason: text })
    const [alert] = await alertsNow()
    await ann.post(`/alerts/${alert?.id}/silence`, { for: '1h', reason: text }, alert?.revision)
    const paths = [
      `/search?q=${encoded}`,
      `/explain?service=airport_delays&entity=${encodeURIComponent(JSON.stringify({ airport: text }))}`,
      `/explain?entity=${encoded}`,
      `/receipts/${encoded}`,
      `/views/${encoded}`,
      `/features/${encoded}/stats`,
      `/models/${encoded}`,
      `/lineage?focus=${encoded}`,
      `/audit?who=${encoded}`,
      '/keys',
      '/audit',
      '/alerts',
    ]
    for (const path of paths) {
      const { status, headers } = await ann.ask(`/ui/api${path}`)
      expect([path, status < 500, headers['content-type'], headers['x-content-type-options']]).toEqual([
        path,
        true,
        'application/json',
        'nosniff',
      ])
    }
    // a text that is no Unicode is refused before it is stored
    if (made.status === 200) expect(JSON.stringify(await ann.data('/keys'))).toContain(JSON.stringify(text).slice(1, -1))
    else expect([made.status, text.isWellFormed()]).toEqual([400, false])
  })

  it('is refused where nothing can have such a name, or such a moment', async () => {
    const none = ['/features/airport_delays@1.none/stats', '/experiments/%00/series', '/receipts/%00', '/models/%00']
    const never = ['1'.repeat(55), '9007199254740993'].map((at) => `/explain?entity=airport:a&at=${at}`)
    for (const path of [...none, ...never]) {
      const { status } = await ann.ask(`/ui/api${path}`)
      expect([path, status >= 400 && status < 500]).toEqual([path, true])
    }
    expect(await ann.post('/keys/%00/revoke', { reason: 'x' }, 'any')).toMatchObject({
      status: 400,
      body: { error: { code: 'INVALID_REQUEST' } },
    })
    expect(await ann.post('/models/%00/unpin', { reason: 'x' }, 'any')).toMatchObject({ status: 400 })
    for (const name of ['a\0b', '\ud800']) expect(await create(ann, { name, scopes: ['read'], reason: 'x' })).toMatchObject({ status: 400 })
  })

  it('is refused if it is too long', async () => {
    const long = 'x'.repeat(1_000_000)
    expect((await create(ann, { name: long, scopes: ['read'], reason: 'x' })).status).toBe(413)
    expect((await create(ann, { name: 'x'.repeat(201), scopes: ['read'], reason: 'x' })).status).toBe(400)
    expect((await create(ann, { name: 'x', scopes: ['read'], reason: 'x'.repeat(2001) })).status).toBe(400)
  })
})

describe('a page as of a moment', () => {
  it('has the alerts that fired then, and says the moment', async () => {
    const at = async (asOf: string) => await ann.ask(`/ui/api/alerts?asOf=${asOf}`)
    const [before, then] = [await at('1970-01-01T00:00:30Z'), await at('1970-01-01T00:02:00Z')]
    expect(before.body).toMatchObject({ data: { alerts: [] }, asOf: '1970-01-01T00:00:30Z' })
    expect(then.body).toMatchObject({ data: { alerts: [{ monitor: 'clock' }] }, asOf: '1970-01-01T00:02:00Z' })
    expect((await ann.ask('/ui/api/now?asOf=1970-01-01T00:02:00Z')).body).toMatchObject({ data: { alerts: { firing: 1 } } })
    // only the figures of when it fired and the newest are kept
    const later = checked(result('breach', 'clock', 9))
    await recordEvaluation(world.db, clockMonitor('clock'), hookAt('https://alerts.example'), 5 * minute, later)
    const fired = { value: 3, threshold: 2, n: 3 }
    expect((await at('1970-01-01T00:03:00Z')).body.data).toMatchObject({ alerts: [{ fired, newest: null }] })
    expect((await ann.ask('/ui/api/alerts?id=1')).body.data).toMatchObject({ alerts: [{ fired, newest: { ...fired, value: 9 } }] })
    expect(await at('yesterday')).toMatchObject({ status: 400, body: { error: { code: 'INVALID_TIME' } } })
  })
})
