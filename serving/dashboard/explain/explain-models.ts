import { z } from 'zod'
import type { EntityKey } from '../../../kernel/values/entity-key.ts'
import { encodeKey } from '../../../kernel/values/entity-key.ts'
import { LockstepError } from '../../../kernel/errors.ts'
import { asRecord, isRecord } from '../../../kernel/is-record.ts'
import { Status, statusNames } from '../../../kernel/states/state.ts'
import { checkMicros, formatTimestamp, parseTimestamp } from '../../../kernel/values/time.ts'
import { valueToJson } from '../../../kernel/values/value-json.ts'
import type { Value, ValueType } from '../../../kernel/values/value-type.ts'
import { typeName } from '../../../kernel/values/value-type.ts'
import type { ViewPlan } from '../../../kernel/view-plan.ts'
import { loggedEntity } from '../../../materializer/erase/logged-entity.ts'
import type { ListedPrediction } from '../../../monitoring/prediction-log/read-predictions.ts'
import { listPredictions, listPredictionsOf } from '../../../monitoring/prediction-log/read-predictions.ts'
import type { ExplainedWindow } from '../../../offline/explain-window.ts'
import { readHistory } from '../../../offline/history.ts'
import { storedEntity } from '../../../offline/stored-entity.ts'
import type { Catalog } from '../../../registry/catalog.ts'
import type { Database } from '../../../runtime/postgres/database.ts'
import { sourceRelation } from '../../../runtime/postgres/relation.ts'
import { sqlIdentifier, sqlText } from '../../../runtime/postgres/sql.ts'
import { keyValue } from '../../features/explain.ts'
import type { ExplainData, ExplainStart } from '../contract/explain.ts'
import { explain as explainContract, explainStart as startContract } from '../contract/explain.ts'
import { readModel } from '../read-model.ts'
import { auditRead } from './audit-read.ts'

const maxPredictions = 20
const maxViews = 50
/** The newest predictions are searched in a minute, an hour and a day: the log of a busy day is long. */
const lookBacks = [60_000_000, 3_600_000_000, 86_400_000_000] as const

/** Examples of what can be explained. They have keys of entities, so each use is audited. */
export const explainStartModel = readModel({
  path: '/explain/start',
  scope: 'explain:read',
  data: startContract,
  isPersonal: true,
  async read(ask) {
    const { db, deps, now, isPast } = ask
    const catalog = deps.catalog()
    const { services } = catalog
    const listed = listedViews(catalog)
    const views = [...catalog.views.values()].toSorted((a, b) => Number(listed.has(b.id)) - Number(listed.has(a.id)))
    const names: ExplainStart['names'] = [...services.values()].map((service) => ({
      name: service.id,
      kind: 'service',
      keys: service.keys.map(({ name }) => name),
      example: null,
    }))
    const shown: unknown[] = []
    for (const plan of views.slice(0, maxViews)) {
      const stored = await storedEntity(db, plan)
      if (stored !== null) shown.push(stored.key)
      names.push({
        name: plan.id,
        kind: 'view',
        keys: plan.key.map(({ name }) => name),
        example: stored === null ? null : JSON.stringify(stored.key),
      })
    }
    let recent: readonly ListedPrediction[] = []
    for (const back of lookBacks) {
      recent = await listPredictions(db, { since: now - back, limit: maxPredictions, until: isPast ? now : undefined })
      if (recent.length === maxPredictions) break
    }
    shown.push(...recent.map(({ keys }) => keys))
    if (shown.length > 0) await auditRead(ask, 'explain', 'examples', { entities: shown })
    const data: ExplainStart = {
      names,
      recent: recent.map((row) => ({
        predictionId: row.predictionId ?? row.requestId,
        at: row.at,
        asOf: row.asOf,
        model: `${row.model}@${row.version}`,
        service: row.service,
        entity: JSON.stringify(row.keys),
        outputs: outputsOf(row),
      })),
    }
    return { data }
  },
})

const moment = z.string().max(60).optional()

/** One entity over a window of time. Each use is audited. */
export const explainModel = readModel({
  path: '/explain',
  scope: 'explain:read',
  query: z.object({ service: z.string().max(300).optional(), entity: z.string().max(10_000), from: moment, to: moment, at: moment }),
  data: explainContract,
  isPersonal: true,
  async read(ask) {
    const { deps, db, query, now } = ask
    const catalog = deps.catalog()
    const { name, uses, entity } = askedOf(catalog, query.service, query.entity)
    const window = { at: momentIn(query.at), from: momentIn(query.from), to: momentIn(query.to) }
    await auditRead(ask, 'explain', name, { entities: [entity], at: query.at })
    let shared = window
    const views: ExplainData['views'] = []
    const found: Explained[] = []
    for (const { plan, alias, columns } of uses) {
      const values = plan.key.map((part, i) => keyValue(entity, columns[i] ?? part.name, part))
      const key = encodeKey(plan.key, values)
      const explained = await deps.explainWindow(plan, key, { ...shared, now: deps.defaultAsOf ?? now })
      // all views show the window of the first one
      shared = { at: explained.at, from: explained.from, to: explained.to }
      views.push({ ...viewOf(plan, alias, explained), sql: rowsQuery(plan, values) })
      found.push({ plan, alias, key })
    }
    const { at = now, from = now, to = now } = shared
    const entities = found.flatMap(({ plan, key }) => (plan.key.length === 0 ? [] : [loggedEntity(plan.spec.entity.name, key)]))
    const served = await listPredictionsOf(db, { keys: entity, entities, from, to, limit: maxPredictions })
    const data: ExplainData = {
      name,
      entity: JSON.stringify(entity),
      from: from / 1000,
      to: to / 1000,
      at: at / 1000,
      views,
      served: served.map((row) => ({
        t: parseTimestamp(row.asOf) / 1000,
        predictionId: row.predictionId ?? row.requestId,
        model: `${row.model}@${row.version}`,
        features: servedFeatures(row),
      })),
      differences: await differencesOf(db, served, found),
    }
    return { data }
  },
})

function momentIn(text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined
  return /^-?\d+(\.\d+)?$/.test(text) ? checkMicros(Math.round(Number(text) * 1000), text) : parseTimestamp(text)
}

interface Asked {
  readonly name: string
  readonly entity: Readonly<Record<string, unknown>>
  readonly uses: readonly { readonly plan: ViewPlan; readonly alias: string | null; readonly columns: readonly string[] }[]
}

/** @param text an entity as JSON, or as on the command line: `airport:ATL` */
function askedOf(catalog: Catalog, name: string | undefined, text: string): Asked {
  const [, kind = '', values = ''] = /^\s*([\w-]+)\s*:\s*(.*?)\s*$/s.exec(text) ?? []
  const spec = catalog.entities.get(kind)
  const parts = spec?.key.length === 1 ? [values] : values.split(',').map((part) => part.trim())
  const entity = spec === undefined ? parsedEntity(text) : Object.fromEntries(spec.key.map((column, i) => [column.name, parts[i] ?? '']))
  if (name !== undefined && name !== '') {
    const id = name.replace(/@\d+$/, '')
    if ([...catalog.services.values()].some((service) => service.id === name || service.name === id)) {
      const service = catalog.service(name)
      // request data has no effect
      const known = new Set(service.keys.map((column) => column.name))
      const keys = Object.fromEntries(Object.entries(entity).filter(([field]) => known.has(field)))
      return { name: service.id, entity: keys, uses: service.uses.map((use) => ({ plan: use.plan, alias: use.alias, columns: use.key })) }
    }
    const plan = catalog.view(name)
    return { name: plan.id, entity, uses: [{ plan, alias: null, columns: [] }] }
  }
  const fitting = [...catalog.views.values()].filter(
    (each) => each.spec.entity.name === kind || each.key.every((column) => column.name in entity),
  )
  const keyed = fitting.filter(({ key }) => key.length > 0)
  const listed = listedViews(catalog)
  const plan = keyed.findLast(({ id }) => listed.has(id)) ?? keyed.at(-1) ?? fitting.at(-1)
  if (plan === undefined) throw new LockstepError('UNKNOWN_DEFINITION', `There is no view of the entity "${text.slice(0, 100)}".`)
  return { name: plan.id, entity, uses: [{ plan, alias: null, columns: [] }] }
}

/** The views whose features services have. The others are inputs of on-demand views at most. */
function listedViews({ services }: Catalog): ReadonlySet<string> {
  return new Set([...services.values()].flatMap(({ features }) => features.map(({ view }) => view)))
}

function parsedEntity(text: string): Readonly<Record<string, unknown>> {
  try {
    const parsed: unknown = JSON.parse(text)
    if (isRecord(parsed)) return parsed
  } catch {
    // said below
  }
  throw new LockstepError('INVALID_ENTITY', `"${text.slice(0, 100)}" is no entity; write airport:ATL, or JSON such as {"airport":"ATL"}.`)
}

/** @param values of the view's key */
function rowsQuery({ key, spec: { source } }: ViewPlan, values: readonly Value[]): string {
  const columns = new Map(source.key.map(({ part, column }) => [part, column]))
  const equal = key.map(
    ({ name, type }, i) => `${sqlIdentifier(columns.get(name) ?? name)} = ${sqlText(textOf(type, values[i] ?? null) ?? '')}`,
  )
  const where = equal.length === 0 ? '' : ` WHERE ${equal.join(' AND ')}`
  return `SELECT * FROM ${sourceRelation(source)} AS source${where} ORDER BY ${sqlIdentifier(source.eventTime)} DESC LIMIT 100`
}

function viewOf(plan: ViewPlan, alias: string | null, { rows, cut, steps }: ExplainedWindow): Omit<ExplainData['views'][number], 'sql'> {
  const columns = [...plan.columns, ...plan.spec.derive]
  return {
    view: plan.id,
    source: plan.spec.source.name,
    rows: rows.map((row) => ({
      event: row.eventTime / 1000,
      known: row.knownTime / 1000,
      visible: row.visibleAt / 1000,
      values: Object.fromEntries(columns.map(({ name, type }, i) => [name, textOf(type, row.values[i] ?? null)])),
    })),
    cut,
    features: plan.spec.features.map((spec, i) => ({
      feature: alias === null ? spec.name : `${alias}__${spec.name}`,
      type: typeName(spec.type),
      kind: spec.kind,
      steps: (steps[i] ?? []).map((step) => ({
        t: step.at / 1000,
        value: textOf(spec.type, step.value),
        number: numberOf(step.value),
        status: statusNames[step.status],
        rows: [...step.rows],
        from: step.from === null ? null : step.from / 1000,
      })),
    })),
  }
}

/** A value as pages show it; null: there is none. */
export function textOf(type: ValueType, value: Value | null): string | null {
  return jsonText(valueToJson(type, value))
}

function jsonText(json: unknown): string | null {
  if (json === null || json === undefined) return null
  return typeof json === 'string' ? json : typeof json === 'bigint' ? String(json) : JSON.stringify(json)
}

function numberOf(value: Value | null): number | null {
  if (typeof value === 'bigint') return Number(value)
  return typeof value === 'number' && Number.isFinite(value) ? value : null
}

/** The served values, by feature of the service. */
export function servedFeatures({ features, statuses }: ListedPrediction): Record<string, { value: string | null; status: string }> {
  const [values, other] = [isRecord(features) ? features : {}, isRecord(statuses) ? statuses : {}]
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name,
      { value: jsonText(value), status: jsonText(other[name]) ?? statusNames[Status.present] },
    ]),
  )
}

interface Explained {
  readonly plan: ViewPlan
  readonly alias: string | null
  readonly key: EntityKey
}

/** Where what was answered is not what training would see at the moment that the answer holds for. */
async function differencesOf(
  db: Database,
  served: readonly ListedPrediction[],
  found: readonly Explained[],
): Promise<ExplainData['differences']> {
  const asked = served.flatMap((row) => found.map((each) => ({ ...each, row, asOf: parseTimestamp(row.asOf) })))
  const trained = await readHistory(db, asked)
  return asked.flatMap(({ row, plan, alias, asOf }, at) => {
    const features = servedFeatures(row)
    return plan.spec.features.flatMap((spec, i) => {
      const name = alias === null ? spec.name : `${alias}__${spec.name}`
      const answered = features[name]
      const value = textOf(spec.type, trained[at]?.values[i] ?? null)
      if (answered === undefined || value === answered.value) return []
      const why = `The answer was given at ${row.at} for ${formatTimestamp(asOf)}: a row that counts now had not arrived then, or the online state was older.`
      return [{ t: asOf / 1000, feature: name, trained: value, served: answered.value, why }]
    })
  })
}

/** The outputs of a prediction as JSON, by name. */
export function outputsOf(row: Pick<ListedPrediction, 'outputs'>): Record<string, string | null> {
  return Object.fromEntries(
    Object.entries(asRecord(row.outputs)).map(([name, value]) => [name, value === null ? null : JSON.stringify(value)]),
  )
}
