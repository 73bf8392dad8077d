import { ByteReader } from './values/binary.ts'
import { encodedReader } from './states/encoded-state.ts'
import { LockstepError, messageOf, withoutStop } from './errors.ts'
import { parseSchedule } from './schedule.ts'
import type { EntityState } from './states/state.ts'
import { planState } from './states/state-plan.ts'
import { endOfTime, formatTimestamp } from './values/time.ts'
import type { LoadTransform } from './transform.ts'
import { loadTransform, timeoutOfCall } from './transform.ts'
import type { Column, Value } from './values/value-type.ts'
import { checkValue, show } from './values/value-type.ts'
import type { TimeRule, ViewPlan, ViewUpkeep } from './view-plan.ts'
import { servedTime } from './view-plan.ts'
import type { DefinitionId, ViewSpec } from './specs/view-spec.ts'
import { definitionId } from './specs/view-spec.ts'
import { ViewState } from './states/view-state.ts'

/**
 * Compiles a stored view. Training and serving both use the result.
 *
 * @param code the stored text of its row transform; null: it has none
 * @throws LockstepError `UNKNOWN_COLUMN`, `INVALID_SCHEDULE`, `TRANSFORM_FAILED`
 */
export function compileView({
  spec,
  code,
  fingerprint,
  load = loadTransform,
  upkeep = { maxStateBytes: null, freshnessMicros: null, cursor: null },
}: {
  readonly spec: ViewSpec
  readonly code: string | null
  readonly fingerprint: string
  readonly load?: LoadTransform
  readonly upkeep?: ViewUpkeep
}): ViewPlan {
  const id = definitionId(spec)
  const columns = code === null ? readColumns(spec) : spec.source.columns
  const state = planState(id, [...columns, ...spec.derive], spec.features, spec.availability.kind === 'schedule')
  const derive = code === null ? null : rowTransform(id, load(code, id), columns, spec.derive)
  const encodedValueAt = encodedReader(state)
  const visibleAt = visibility(spec)
  return {
    id,
    spec,
    fingerprint,
    upkeep,
    key: spec.entity.key,
    columns,
    features: spec.features.map(({ name, type, required }) => ({ name, type, required })),
    visibleAt,
    fold(eventTime, knownTime, tie, values, rule) {
      const visible = visibleAt(eventTime, knownTime, rule)
      if (visible === Number.POSITIVE_INFINITY) return null
      const row = derive === null ? values : derive(values, eventTime)
      if (row === null) return null
      // A known time of -infinity counts as none. Infinity occurs here only if known times are ignored.
      const known = knownTime === null || knownTime === Number.NEGATIVE_INFINITY ? eventTime : Math.min(knownTime, endOfTime)
      return { eventTime, knownTime: known, visibleAt: visible, tie, values: row }
    },
    newState: (): EntityState => new ViewState(state),
    decodeState: (bytes, highWater) => ViewState.decode(state, new ByteReader(bytes), highWater),
    valueAt: (bytes, bodyAt, highWater, t) =>
      encodedValueAt(bytes, bodyAt, highWater, t) ?? ViewState.decode(state, new ByteReader(bytes, bodyAt), highWater).valueAt(t),
    horizonMicros: horizon(spec),
    needs: needs(spec),
  }
}

/** A transform may read any column. Without a transform only the columns that features name are read. */
function readColumns({ source, features }: ViewSpec): readonly Column[] {
  const read = new Set<string | null | undefined>(features.flatMap(({ column, where }) => [column, where]))
  return source.columns.filter(({ name }) => read.has(name))
}

function visibility(spec: ViewSpec): (eventTime: number, knownTime: number | null, rule?: TimeRule) => number {
  const { availability } = spec
  const schedule = availability.kind === 'schedule' ? parseSchedule(availability.schedule) : null
  const delayMicros = availability.kind === 'schedule' ? availability.delayMicros : 0
  return (eventTime, knownTime, rule = servedTime) => {
    const visible = rule.knowledge === 'latest' || knownTime === null || knownTime < eventTime ? eventTime : knownTime
    if (schedule === null || rule.freshness === 'ideal' || visible === Number.POSITIVE_INFINITY) return visible
    return schedule.at(visible) + delayMicros
  }
}

/** The start of a window lies at most one hop before the window. */
function horizon(spec: ViewSpec): number {
  return spec.features.reduce(
    (reach, f) => Math.max(reach, f.kind === 'window' ? f.windowMicros + f.hopMicros : Number.POSITIVE_INFINITY),
    0,
  )
}

/** Latest values need only the greatest row, unless a transform or condition may drop it. */
function needs({ features, code }: ViewSpec): ViewPlan['needs'] {
  const latest = features.filter((f) => f.kind === 'latest')
  const all = features.some((f) => f.kind === 'lifetime') || latest.some((f) => code !== null || f.where !== undefined)
  const windowMicros = features.reduce((reach, f) => (f.kind === 'window' ? Math.max(reach, f.windowMicros + f.hopMicros) : reach), 0)
  return { windowMicros: all ? Number.POSITIVE_INFINITY : windowMicros, greatest: latest.length > 0 && !all }
}

type Values = readonly (Value | null)[]

function rowTransform(
  view: DefinitionId,
  loaded: ReturnType<LoadTransform>,
  columns: readonly Column[],
  derive: readonly Column[],
): (values: Values, eventTime: number) => Values | null {
  const transform = loaded as (row: Record<string, Value | null>) => unknown
  const fail = (eventTime: number, why: string, cause?: unknown): LockstepError =>
    new LockstepError(
      'TRANSFORM_FAILED',
      `The transform of "${view}" failed on the row at ${formatTimestamp(eventTime)}: ${why}. Correct it under a new version.`,
      { cause },
    )
  return (values, eventTime) => {
    const row: Record<string, Value | null> = {}
    for (let i = 0; i < columns.length; i++) {
      const value = values[i] ?? null
      // A copy, because a transform may write to its input.
      row[(columns[i] as Column).name] = value instanceof Float32Array ? value.slice() : value
    }
    let derived: unknown
    try {
      derived = transform(row)
    } catch (cause) {
      throw timeoutOfCall(cause, `on the row at ${formatTimestamp(eventTime)}`) ?? fail(eventTime, messageOf(cause), cause)
    }
    if (derived === null) return null
    if (typeof derived !== 'object') throw fail(eventTime, `it returned ${show(derived)}, not an object or null`)
    const out = [...values]
    for (const { name, type } of derive) {
      const value: unknown = (derived as Record<string, unknown>)[name]
      if (value === undefined) throw fail(eventTime, `it returned no "${name}"`)
      out.push(value === null ? null : checkDerived(type, value, name, eventTime, fail))
    }
    return out
  }
}

function checkDerived(
  type: Column['type'],
  value: unknown,
  name: string,
  eventTime: number,
  fail: (eventTime: number, why: string, cause?: unknown) => LockstepError,
): Value {
  try {
    return checkValue(type, value, `"${name}"`)
  } catch (cause) {
    throw fail(eventTime, withoutStop(cause), cause)
  }
}
