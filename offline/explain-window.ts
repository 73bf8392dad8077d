import type { EntityKey } from '../kernel/values/entity-key.ts'
import { dayMicros, floorTo, hourMicros } from '../kernel/values/time.ts'
import { windowStart } from '../kernel/states/hop.ts'
import type { FoldRow, Status } from '../kernel/states/state.ts'
import { isBefore } from '../kernel/states/state.ts'
import type { Value } from '../kernel/values/value-type.ts'
import { maxMicros } from '../kernel/values/value-type.ts'
import type { ViewPlan } from '../kernel/view-plan.ts'
import type { FeatureSpec } from '../kernel/specs/view-spec.ts'
import type { Database } from '../runtime/postgres/database.ts'
import { readHistory } from './history.ts'
import { sourceRows } from './rows/source-stream.ts'
import type { StreamBounds } from './rows/stream-sql.ts'

/** A feature of one entity from one moment on. */
export interface ExplainedStep {
  /** Epoch microseconds. */
  readonly at: number
  readonly value: Value | null
  readonly status: Status
  /** The rows in the value, by index of the rows. */
  readonly rows: readonly number[]
  /** Of a window: the earliest event time that it covers. */
  readonly from: number | null
}

export interface ExplainedWindow {
  /** Epoch microseconds. */
  readonly at: number
  readonly from: number
  readonly to: number
  /** Those that count at some moment of the window, or only after it, by when they count. */
  readonly rows: readonly FoldRow[]
  /** How many rows that count are not among them. */
  readonly cut: number
  /** By feature of the view. */
  readonly steps: readonly (readonly ExplainedStep[])[]
}

export interface WindowRequest {
  /** Epoch microseconds. Absent: the newest moment at which a row of the entity began to count, up to `now`. */
  readonly at?: number | undefined
  readonly from?: number | undefined
  readonly to?: number | undefined
  readonly now: number
  readonly signal?: AbortSignal
}

const maxRows = 200
const maxAfter = 20
/** The maximum number of rows whose moments are looked at. At most twice as many are held. */
const maxHeld = 5000
const evenMoments = 20
const maxSteps = 100

/**
 * The values of an entity in a view at each moment at which they can change: a row begins to count, leaves a window or
 * becomes too old. They come from the offline history, by the same states as everywhere.
 *
 * @throws LockstepError as `sourceRows`; what the states throw
 */
export async function explainWindow(db: Database, plan: ViewPlan, key: EntityKey, request: WindowRequest): Promise<ExplainedWindow> {
  const at = request.at ?? (await newestChange(db, plan, key, request)) ?? request.now
  const reach = reachOf(plan)
  const from = request.from ?? at - reach
  const to = Math.max(from + 1, request.to ?? at + Math.floor(reach / 4))
  const { latest, before, after, count } = await rowsAround(db, plan, key, { from, to, until: to + reach, signal: request.signal })
  // the newest, and in any case those that win at the begin of the window
  const rows = [...new Set([...latest, ...before.slice(-maxRows), ...after])].toSorted(byVisible)
  // if not all rows were read, the moments before the first of them are evenly spaced
  const oldest = count > before.length ? Math.min(to, before[0]?.visibleAt ?? to) : from
  const even = Array.from({ length: evenMoments }, (_, i) => from + Math.floor(((oldest - from) * i) / evenMoments))
  const moments = momentsOf(plan, before, even, { from, to, at })
  const values = await readHistory(
    db,
    moments.map((asOf) => ({ plan, key, asOf })),
    request.signal === undefined ? {} : { signal: request.signal },
  )
  const steps = plan.spec.features.map((spec, i) =>
    moments.map((moment, m): ExplainedStep => {
      const start = spec.kind === 'window' ? windowStart(moment, spec.windowMicros, spec.hopMicros) : null
      return {
        at: moment,
        value: values[m]?.values[i] ?? null,
        status: values[m]?.statuses[i] as Status,
        rows: inValue(plan, spec, rows, moment, start),
        from: start,
      }
    }),
  )
  return { at, from, to, rows, cut: Math.max(0, count - maxRows), steps }
}

/** When the newest row of an entity began to count, up to `now`; null: none did. */
async function newestChange(db: Database, plan: ViewPlan, key: EntityKey, { now, signal }: WindowRequest): Promise<number | null> {
  let newest: number | null = null
  await eachRow(db, plan, key, { until: now }, signal, ({ visibleAt }) => {
    if (visibleAt <= now && (newest === null || visibleAt > newest)) newest = visibleAt
  })
  return newest
}

interface RowsAround {
  /** Those that latest values have at the begin. */
  readonly latest: readonly FoldRow[]
  /** The newest that count by the end, by when they count. */
  readonly before: readonly FoldRow[]
  /** The first that count only after it. */
  readonly after: readonly FoldRow[]
  /** How many count by the end. */
  readonly count: number
}

/** The rows of an entity around a window of time. However many there are, few are held at a time. */
async function rowsAround(
  db: Database,
  plan: ViewPlan,
  key: EntityKey,
  {
    from,
    to,
    until,
    signal,
  }: { readonly from: number; readonly to: number; readonly until: number; readonly signal: AbortSignal | undefined },
): Promise<RowsAround> {
  const earliest = earliestEvent(plan, from)
  const { features } = plan.spec
  const winners = new Array<FoldRow | null>(features.length).fill(null)
  let before: FoldRow[] = []
  let after: FoldRow[] = []
  let count = 0
  // a latest value may be of any age
  const eventFrom = features.some(({ kind }) => kind === 'latest') || earliest < -maxMicros ? {} : { eventFrom: earliest }
  await eachRow(db, plan, key, { until, ...eventFrom }, signal, (row) => {
    for (const [i, spec] of features.entries()) if (spec.kind === 'latest') winners[i] = laterOf(plan, spec, winners[i] ?? null, row, from)
    if (row.eventTime < earliest || row.visibleAt > until) return
    if (row.visibleAt <= to) {
      count++
      before.push(row)
      if (before.length >= 2 * maxHeld) before = before.sort(byVisible).slice(-maxHeld)
    } else {
      after.push(row)
      if (after.length >= 2 * maxHeld) after = after.sort(byVisible).slice(0, maxAfter)
    }
  })
  const latest = new Set(winners.flatMap((winner) => winner ?? []))
  return { latest: [...latest], before: before.sort(byVisible), after: after.sort(byVisible).slice(0, maxAfter), count }
}

async function eachRow(
  db: Database,
  plan: ViewPlan,
  key: EntityKey,
  { until, eventFrom }: StreamBounds & { readonly until: number },
  signal: AbortSignal | undefined,
  onRow: (row: FoldRow) => void,
): Promise<void> {
  const bounds = { keys: [key], until: Math.min(maxMicros, until), ...(eventFrom === undefined ? {} : { eventFrom }) }
  await db.snapshot(async (snapshot) => {
    for await (const batch of sourceRows(snapshot, [plan], bounds)) {
      signal?.throwIfAborted()
      for (const row of batch) {
        const folded = plan.fold(row.eventTime, row.knownTime, row.tie, row.values)
        if (folded !== null) onRow(folded)
      }
    }
  })
}

function byVisible(a: FoldRow, b: FoldRow): number {
  return a.visibleAt - b.visibleAt
}

/** How far back a window of time reaches that shows changes: the shortest window of the view. */
function reachOf({ spec }: ViewPlan): number {
  const windows = spec.features.flatMap((feature) => (feature.kind === 'window' ? [feature.windowMicros] : []))
  return Math.min(7 * dayMicros, Math.max(hourMicros, windows.length === 0 ? dayMicros : Math.min(...windows)))
}

function earliestEvent({ spec }: ViewPlan, from: number): number {
  const starts = spec.features.map((feature) =>
    feature.kind === 'window' ? windowStart(from, feature.windowMicros, feature.hopMicros) : feature.kind === 'latest' ? from : -Infinity,
  )
  return Math.min(...starts)
}

function winnerOf(plan: ViewPlan, spec: FeatureSpec, rows: readonly FoldRow[], moment: number): FoldRow | null {
  let winner: FoldRow | null = null
  for (const row of rows) winner = laterOf(plan, spec, winner, row, moment)
  return winner
}

function laterOf(plan: ViewPlan, spec: FeatureSpec, winner: FoldRow | null, row: FoldRow, moment: number): FoldRow | null {
  return row.visibleAt <= moment && isTaken(plan, spec, row) && (winner === null || isBefore(winner, row)) ? row : winner
}

function inValue(plan: ViewPlan, spec: FeatureSpec, rows: readonly FoldRow[], moment: number, start: number | null): number[] {
  if (spec.kind === 'latest') {
    const winner = winnerOf(plan, spec, rows, moment)
    return winner === null ? [] : [rows.indexOf(winner)]
  }
  return rows.flatMap((row, i) =>
    row.visibleAt <= moment && (start === null || row.eventTime >= start) && isTaken(plan, spec, row) ? [i] : [],
  )
}

function isTaken(plan: ViewPlan, { where }: FeatureSpec, row: FoldRow): boolean {
  if (where === undefined) return true
  const slot = [...plan.columns, ...plan.spec.derive].findIndex(({ name }) => name === where)
  return row.values[slot] === true
}

/** When something can change in the window. Of many moments every so many-th is taken, and `at` in any case. */
function momentsOf(
  { spec }: ViewPlan,
  rows: readonly FoldRow[],
  even: readonly number[],
  { from, to, at }: { readonly from: number; readonly to: number; readonly at: number },
): number[] {
  const moments = new Set<number>()
  const note = (moment: number): void => {
    if (moment > from && moment <= to) moments.add(moment)
  }
  for (const { eventTime, visibleAt } of rows) {
    note(visibleAt)
    for (const feature of spec.features) {
      if (feature.kind === 'window') note(floorTo(eventTime, feature.hopMicros) + feature.hopMicros + feature.windowMicros)
      if (feature.kind === 'latest' && feature.ttlMicros !== null) note(eventTime + feature.ttlMicros + 1)
    }
  }
  const sorted = [...moments].toSorted((a, b) => a - b)
  const every = Math.ceil(sorted.length / maxSteps)
  const taken = sorted.filter((moment, i) => i % every === 0 || moment === at)
  const known = new Set([from, ...even, ...taken, ...(at > from && at <= to ? [at] : [])])
  return [...known].toSorted((a, b) => a - b)
}
