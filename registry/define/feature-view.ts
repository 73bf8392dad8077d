import { parseDuration } from '../../kernel/values/duration.ts'
import { LockstepError } from '../../kernel/errors.ts'
import { isNullable } from '../../kernel/result-type.ts'
import { show } from '../../kernel/values/value-type.ts'
import type { CountName, ViewSpec } from '../../kernel/specs/view-spec.ts'
import type { Aggregate, AggregateOver, ResultType } from './aggregate.ts'
import type { StatedAvailability } from './availability.ts'
import { availabilitySpec } from './availability.ts'
import type { Description } from './definition.ts'
import { checkBody, checkKind, define, describe } from './definition.ts'
import type { Entity } from './entity.ts'
import type { Feature, Features, Nullable } from './feature.ts'
import { featureSpec } from './feature-spec.ts'
import { checkColumnName, checkFieldName, checkName, checkVersion } from './names.ts'
import type { Source } from './source.ts'
import { parseSize } from './size.ts'
import type { KeyTypes, RowOf, Types } from './t.ts'
import { checkColumnType } from './t.ts'
import type { Renamed, ViewUse } from './view-use.ts'
import { picked, viewUse } from './view-use.ts'

/** Features of an entity, computed from the rows of a source. */
export interface FeatureView<N extends string = string, K extends KeyTypes = KeyTypes, F extends Features = Features> {
  readonly kind: 'featureView'
  readonly name: N
  readonly version: number
  readonly entity: Entity<string, K>
  readonly source: Source
  readonly features: F
  /** Everything except the hash of the transform's code, which is known only after bundling. */
  readonly spec: Omit<ViewSpec, 'code'>
  readonly transform: ((row: never) => unknown) | null
  readonly online: boolean
  /** The maximum size of one entity's state in the online store; null: no maximum. */
  readonly maxStateBytes: number | null
  /** The maximum lag of the online store behind the source, microseconds; null: not stated. */
  readonly freshnessMicros: number | null
  /** `none`: it has no default monitors. */
  readonly monitors: 'none' | null
  readonly described: Description
  /**
   * The view under an alias, with other columns for the entity's key: `airportDelays.as('destination', { airport:
   * 'destination' })`.
   */
  as<const A extends string, const M extends { readonly [P in keyof K]: string }>(alias: A, key: M): ViewUse<Renamed<K, M>, F, A>
  /** Only these features. */
  pick<P extends keyof F & string>(...names: P[]): ViewUse<K, Pick<F, P>, null>
}

export type AnyFeatureView = FeatureView<string, KeyTypes, Features>

/** The features that these aggregates compute from rows with columns `C`. */
export type FeaturesOf<A extends Readonly<Record<string, Aggregate>>, C extends Types> = {
  readonly [K in keyof A]: Feature<
    A[K]['aggregate'] extends CountName
      ? { readonly kind: 'int32' }
      : A[K]['column'] extends keyof C
        ? ResultType<A[K]['aggregate'], C[A[K]['column']]>
        : never,
    A[K]['aggregate'] extends CountName ? false : Nullable<A[K]['default'], A[K]['required']>
  >
}

interface FeatureViewBody<K extends KeyTypes, C extends Types, D extends Types, A> extends Description {
  readonly version: number
  readonly entity: Entity<string, K>
  /** The source's key must name a column for every part of the entity's key. */
  readonly source: Source<string, { readonly [P in keyof K]: string }, C>
  /** When a row becomes visible: at once (`'continuous'`), or when the next scheduled refresh has run. */
  readonly availability?: StatedAvailability
  /** Columns that the transform adds to each row. */
  readonly derive?: D & { readonly [P in keyof C]?: never }
  /** A pure function of one source row. It returns the derived columns, or null to leave out the row. */
  readonly transform?: (row: RowOf<C>) => RowOf<NoInfer<D>> | null
  readonly features: A
  /** Whether the view is kept in the online store. Default: true. */
  readonly online?: boolean
  /**
   * The maximum size of one entity's state in the online store, as in `'64kb'`. The online store does not keep a larger
   * state; the offline history then answers for that entity, with the same values but more slowly. `plan` prints the
   * maximum size of a state.
   */
  readonly maxStateBytes?: string
  /**
   * The maximum lag of the online store behind the source, as in `'10m'`. `lockstep status` fails if the lag is
   * greater.
   */
  readonly freshness?: string
  /** `'none'` turns off the default monitors of this view. */
  readonly monitors?: 'none'
}

/**
 * Declares a feature view. In training and in serving, its values come from the rows that are visible at the requested
 * time.
 *
 * @example export const airportDelays = featureView('airport_delays', { version: 1, entity: airport, source: landings,
 *   derive: { late: t.int32 }, transform: (row) => ({ late: row.delay === null ? null : row.delay > 15 ? 1 : 0 }),
 *   features: { landed1h: count('1h'), lateShare24h: mean('late', '24h'), lastDelay: last('delay', { ttl: '2d' }) }, })
 * @throws LockstepError `UNKNOWN_COLUMN`, `INVALID_TYPE`, `INVALID_DURATION`, `INVALID_SCHEDULE`, `INVALID_NAME`,
 *   `DEFINITIONS_INVALID`
 */
export function featureView<
  const N extends string,
  const K extends KeyTypes,
  const C extends Types,
  const A extends Readonly<Record<string, AggregateOver<C & D>>>,
  const D extends Types = {},
>(name: N, body: FeatureViewBody<K, C, D, A>): FeatureView<N, K, FeaturesOf<A, C & D>> {
  const what = `view "${checkName(name, 'A feature view')}"`
  checkBody(body, `The ${what}`, [
    'version',
    'entity',
    'source',
    'availability',
    'derive',
    'transform',
    'features',
    'online',
    'maxStateBytes',
    'freshness',
    'monitors',
  ])
  checkKind(body.entity, ['entity'], `The entity of ${what}`, 'an entity')
  checkKind(body.source, ['source'], `The source of ${what}`, 'a source')
  const { entity, source } = body
  const derive = Object.entries(body.derive ?? {}).map(([column, type]) => {
    const place = `The derived column "${column}" of ${what}`
    if (Object.hasOwn(source.columns, column)) {
      throw new LockstepError('INVALID_NAME', `${place} is also a column of source "${source.name}"; give it another name.`)
    }
    return Object.freeze({ name: checkColumnName(column, place), type: checkColumnType(type, place) })
  })
  if (body.transform !== undefined && typeof body.transform !== 'function') {
    throw new LockstepError('DEFINITIONS_INVALID', `The transform of ${what} is not a function; write transform: (row) => ({ … }).`)
  }
  if (derive.length > 0 && body.transform === undefined) {
    throw new LockstepError('DEFINITIONS_INVALID', `The ${what} derives "${derive[0]?.name}" but has no transform to compute it; add one.`)
  }
  if (body.monitors !== undefined && body.monitors !== 'none')
    throw new LockstepError('DEFINITIONS_INVALID', `The ${what} has the monitors ${show(body.monitors)}; write 'none', or leave it out.`)
  const columns = [...source.spec.columns, ...derive]
  const specs = Object.entries(body.features ?? {}).map(([feature, aggregate]) => {
    try {
      return featureSpec(name, feature, aggregate, columns, source.spec)
    } catch (error) {
      if (!(error instanceof LockstepError)) throw error
      // the name is used to find the line in the file
      throw new LockstepError(error.code, error.message, { cause: error.cause, details: { ...error.details, feature } })
    }
  })
  if (specs.length === 0)
    throw new LockstepError('DEFINITIONS_INVALID', `The ${what} has no features; add one, as in features: { seen1h: count('1h') }.`)
  const spec: Omit<ViewSpec, 'code'> = {
    name,
    version: checkVersion(body.version, `The ${what}`),
    entity: entity.spec,
    source: { ...source.spec, key: Object.freeze(entity.spec.key.map((part) => keyColumn(part.name, source, what))) },
    availability: availabilitySpec(body.availability, `The ${what}`),
    derive: Object.freeze(derive),
    features: Object.freeze(specs),
  }
  const features = Object.freeze(
    Object.fromEntries(specs.map((s) => [s.name, Object.freeze({ type: s.type, nullable: isNullable(s) })])),
  ) as FeaturesOf<A, C & D>
  const view: FeatureView<N, K, FeaturesOf<A, C & D>> = define({
    kind: 'featureView',
    name,
    version: body.version,
    entity,
    source,
    features,
    spec: Object.freeze(spec),
    transform: body.transform ?? null,
    online: body.online ?? true,
    maxStateBytes: body.maxStateBytes === undefined ? null : parseSize(body.maxStateBytes, `The maxStateBytes of ${what}`),
    freshnessMicros: body.freshness === undefined ? null : parseDuration(body.freshness, `The freshness of ${what}`),
    monitors: body.monitors ?? null,
    described: describe(body, `The ${what}`),
    as: (alias, key) => {
      checkName(alias, `An alias of ${what}`)
      if (alias.includes('__'))
        throw new LockstepError('INVALID_NAME', `The alias "${alias}" of ${what} has two underscores in a row; use one.`)
      const columns = aliasColumns(entity, key, `The alias "${alias}" of ${what}`)
      const needs = Object.fromEntries(entity.spec.key.map((part, i) => [columns[i], part.type]))
      return viewUse(view, alias, columns, Object.freeze(needs) as Renamed<K, typeof key>, features)
    },
    pick: (...names) => viewUse(view, null, Object.keys(entity.key), entity.key, picked(features, names, what)),
  })
  return view
}

function keyColumn(part: string, source: Source, what: string): { readonly part: string; readonly column: string } {
  const found = source.spec.key.find((k) => k.part === part)
  if (found !== undefined) return found
  throw new LockstepError(
    'UNKNOWN_COLUMN',
    `The source "${source.name}" of ${what} does not say which column has the key "${part}"; add it to the source's key, such as key: { ${part}: '…' }.`,
  )
}

function aliasColumns(entity: Entity, key: Readonly<Record<string, string>>, what: string): string[] {
  for (const part of Object.keys(key ?? {})) {
    if (!Object.hasOwn(entity.key, part)) {
      throw new LockstepError('UNKNOWN_COLUMN', `${what} maps "${part}", which is not part of the key of entity "${entity.name}".`)
    }
  }
  const columns = entity.spec.key.map((part) => {
    const column = key?.[part.name]
    if (column === undefined)
      throw new LockstepError(
        'UNKNOWN_COLUMN',
        `${what} does not say which column has the key "${part.name}"; write .as('…', { ${part.name}: '…' }).`,
      )
    return checkFieldName(column, `${what}: the column for "${part.name}"`)
  })
  if (new Set(columns).size < columns.length)
    throw new LockstepError('INVALID_NAME', `${what} maps two parts of the key to one column; name a column for each.`)
  return columns
}
