import { encodeKey } from '../../kernel/values/entity-key.ts'
import type { EntityKey } from '../../kernel/values/entity-key.ts'
import { formatDuration } from '../../kernel/values/duration.ts'
import { LockstepError } from '../../kernel/errors.ts'
import { parseValue, shown } from '../../kernel/values/parse-value.ts'
import { statusNames } from '../../kernel/states/state.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import { valueToJson } from '../../kernel/values/value-json.ts'
import type { Column, ColumnType, Value } from '../../kernel/values/value-type.ts'
import { typeName } from '../../kernel/values/value-type.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { DefinitionId } from '../../kernel/specs/view-spec.ts'
import type { ExplainedFeature, ExplainedRow, ExplainedView } from '../../offline/explain-view.ts'
import type { ExplainedWindow, WindowRequest } from '../../offline/explain-window.ts'
import type { Catalog } from '../../registry/catalog.ts'
import { didYouMean } from '../../kernel/did-you-mean.ts'
import { quotedNames } from '../../kernel/values/quoted-names.ts'
import type { Place } from '../traffic/place.ts'

export interface ExplainRequest {
  readonly service?: string | undefined
  readonly view?: string | undefined
  /** The key columns. Request data of a service is accepted, and has no effect. */
  readonly entity: Readonly<Record<string, unknown>>
  /** Epoch microseconds. */
  readonly asOf: number
  /** The maximum number of rows of each kind. */
  readonly maxRows: number
}

export type ReadExplanation = (
  plan: ViewPlan,
  key: EntityKey,
  options: { readonly asOf: number; readonly maxRows: number },
  place?: Place,
) => Promise<ExplainedView>

/** Explains an entity in a view over a window of time. */
export type ReadWindow = (plan: ViewPlan, key: EntityKey, request: Omit<WindowRequest, 'signal'>) => Promise<ExplainedWindow>

/**
 * Why a view, or each view that a service reads, says what it says of one entity at one moment. What it gives is JSON.
 *
 * @throws LockstepError `INVALID_REQUEST`, `INVALID_ENTITY`, `UNKNOWN_DEFINITION`, and what `read` throws
 */
export async function explain(catalog: Catalog, read: ReadExplanation, request: ExplainRequest) {
  const { asOf, entity, maxRows } = request
  const asked = askedOf(catalog, request)
  refuseUnknown(entity, asked.takes)
  const views = []
  for (const { plan, alias, columns } of asked.uses) {
    const values = plan.key.map((part, i) => keyValue(entity, columns[i] ?? part.name, part))
    const found = await read(plan, encodeKey(plan.key, values), { asOf, maxRows })
    const key = Object.fromEntries(plan.key.map((part, i) => [part.name, valueToJson(part.type, values[i] ?? null)]))
    views.push(viewJson(plan, alias, key, found))
  }
  return { ...asked.named, asOf: formatTimestamp(asOf), views }
}

interface Asked {
  readonly named: Readonly<Record<string, unknown>>
  readonly takes: readonly string[]
  readonly uses: readonly { readonly plan: ViewPlan; readonly alias: string | null; readonly columns: readonly string[] }[]
}

function askedOf(catalog: Catalog, { service, view }: ExplainRequest): Asked {
  if ((service === undefined) === (view === undefined)) {
    throw new LockstepError('INVALID_REQUEST', 'The request must name either a "service" or a "view".')
  }
  if (view !== undefined) {
    const plan = catalog.view(view)
    return { named: { view: plan.id }, takes: plan.key.map(({ name }) => name), uses: [{ plan, alias: null, columns: [] }] }
  }
  const plan = catalog.service(service ?? '')
  const read = new Set<DefinitionId>(plan.uses.map((use) => use.plan.id))
  const onDemand = plan.features.filter((feature) => !read.has(feature.view)).map(({ name, view: from }) => ({ feature: name, view: from }))
  return {
    // they are computed from the values of the views below, and of what a request sends
    named: { service: plan.id, ...(onDemand.length === 0 ? {} : { onDemand }) },
    takes: [...plan.keys, ...plan.request].map(({ name }) => name),
    uses: plan.uses.map((use) => ({ plan: use.plan, alias: use.alias, columns: use.key })),
  }
}

function refuseUnknown(entity: Readonly<Record<string, unknown>>, takes: readonly string[]): void {
  const field = Object.keys(entity).find((name) => !takes.includes(name))
  if (field === undefined) return
  throw new LockstepError(
    'INVALID_ENTITY',
    `The entity has the unknown field "${field}".${didYouMean(field, takes)} It takes ${quotedNames(takes) || 'none'}.`,
    { details: { field } },
  )
}

export function keyValue(entity: Readonly<Record<string, unknown>>, name: string, { type }: Column): Value {
  const json = Object.hasOwn(entity, name) ? entity[name] : null
  if (json === null || json === undefined) {
    throw new LockstepError('INVALID_ENTITY', `The field "${name}" of the entity is missing; send it as ${typeName(type)}.`, {
      details: { field: name },
    })
  }
  try {
    return parseValue(type, json, `The field "${name}" of the entity`)
  } catch (cause) {
    if (!(cause instanceof LockstepError)) throw cause
    throw new LockstepError('INVALID_ENTITY', cause.message, { cause, details: { field: name, value: shown(json) } })
  }
}

function viewJson(plan: ViewPlan, alias: string | null, key: object, found: ExplainedView) {
  const { spec } = plan
  return {
    view: plan.id,
    ...(alias === null ? {} : { alias }),
    source: spec.source.name,
    key,
    availability:
      spec.availability.kind === 'continuous'
        ? 'continuous'
        : `${spec.availability.schedule} + ${formatDuration(spec.availability.delayMicros)}`,
    rows: found.rows,
    notYetVisible: found.notYetVisible.map((row) => rowJson(row, null)),
    features: found.features.map((feature) => featureJson(plan, feature)),
  }
}

function featureJson(plan: ViewPlan, { spec, value, status, winner, beaten, counted, span, rows }: ExplainedFeature) {
  const columns = [...plan.columns, ...plan.spec.derive]
  const type = columns.find(({ name }) => name === spec.column)?.type ?? null
  const where = spec.where === undefined ? {} : { where: spec.where, excludedByWhere: rows.where }
  const common = { feature: spec.name, column: spec.column, value: valueToJson(spec.type, value), status: statusNames[status], ...where }
  if (spec.kind === 'latest') {
    return {
      ...common,
      kind: spec.kind,
      ...(spec.ttlMicros === null ? {} : { ttl: formatDuration(spec.ttlMicros) }),
      candidates: rows.taken,
      winner: winner === null ? null : rowJson(winner, type),
      beaten: beaten.map((row) => ({ ...rowJson(row, type), why: row.why })),
    }
  }
  return {
    ...common,
    kind: spec.kind,
    aggregate: spec.aggregate,
    ...(span === null || spec.kind !== 'window'
      ? {}
      : {
          window: formatDuration(spec.windowMicros),
          hop: formatDuration(spec.hopMicros),
          span: { from: formatTimestamp(span.from), to: formatTimestamp(span.to) },
          outsideWindow: rows.outsideWindow,
        }),
    counted: rows.taken,
    ...(winner === null ? {} : { winner: rowJson(winner, type) }),
    newest: counted.map((row) => rowJson(row, type)),
  }
}

function rowJson({ eventTime, knownTime, visibleAt, row, xid, value }: ExplainedRow, type: ColumnType | null) {
  return {
    eventTime: timeJson(eventTime),
    knownTime: timeJson(knownTime),
    visibleAt: timeJson(visibleAt),
    ...(row === null ? {} : { row }),
    ...(xid === null ? {} : { transaction: xid }),
    ...(type === null ? {} : { value: valueToJson(type, value) }),
  }
}

/** null: never. */
function timeJson(micros: number): string | null {
  return Number.isFinite(micros) ? formatTimestamp(micros) : null
}
