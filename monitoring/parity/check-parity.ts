import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { frontierOf, noTransactions } from '../../kernel/states/frontier.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { ViewValues } from '../../kernel/states/state.ts'
import { statusNames } from '../../kernel/states/state.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import { valueToJson } from '../../kernel/values/value-json.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { DefinitionId, JsonValue } from '../../kernel/specs/view-spec.ts'
import type { Counterfactuals, RowSet, ServedAnswer } from '../../offline/counterfactual.ts'
import { byRowSet, computeCounterfactuals } from '../../offline/counterfactual.ts'
import { readHistory } from '../../offline/history.ts'
import { readSourceTable } from '../../offline/rows/source-table.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { Turns } from '../../runtime/async.ts'
import { startTurns } from '../../runtime/async.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { parseSnapshot } from '../../runtime/postgres/snapshot-bounds.ts'
import type { LoggedQuery } from '../prediction-log/read-predictions.ts'
import { readLoggedVectors } from '../prediction-log/read-predictions.ts'
import type { FeatureAnswer, Verdict } from './classify.ts'
import { classify, expectedAnswer, sameAnswer, verdicts } from './classify.ts'
import type { MayHaveErasedRows } from './erased-rows.ts'
import { readErasedRows } from './erased-rows.ts'
import type { LoggedAnswer } from './logged-answer.ts'
import { readAnswer } from './logged-answer.ts'

export interface ParityOptions extends LoggedQuery {
  /**
   * How long after a row became visible it may be missing in an answer of a continuous view, microseconds. Absent: the
   * view's freshness, or 10 s where it declares none.
   */
  readonly graceMicros?: number | undefined
  readonly signal?: AbortSignal
  /** How many vectors are done, and of how many. Those that do not equal the history are done last. */
  readonly onProgress?: (done: number, total: number) => void
}

/** The feature services, or how those that the log names are read. */
export interface ParityCatalog {
  readonly services: Catalog['services'] | ((ids: readonly DefinitionId[]) => Promise<Catalog['services']>)
}

export interface ParityReport {
  /** Logged vectors that were recomputed. */
  readonly vectors: number
  /** Vectors that were skipped, by reason. */
  readonly skipped: Readonly<Record<SkipReason, number>>
  /** Why they were skipped, most frequent first: at most `maxCauses`. */
  readonly skippedBecause: readonly SkipCause[]
  readonly features: readonly FeatureParity[]
  /** Differences, the first of each feature and verdict. */
  readonly examples: readonly Difference[]
}

/**
 * - `definitions`: the service is not in the registry, or has changed
 * - `degraded`: it was answered with defaults, because the online store was down
 * - `unreadable`: no server wrote the row, or its history cannot be read
 */
export type SkipReason = 'definitions' | 'degraded' | 'unreadable'

/** Skipped vectors with the same cause. */
export interface SkipCause {
  readonly reason: SkipReason
  /** The feature service with its version. */
  readonly service: DefinitionId
  readonly vectors: number
  /** A sentence; of errors, the first one with its code. */
  readonly cause: string
}

export type FeatureParity = { readonly service: DefinitionId; readonly feature: string; readonly view: DefinitionId } & Readonly<
  Record<Verdict, number>
>

export interface Difference {
  readonly verdict: Verdict
  readonly service: DefinitionId
  readonly feature: string
  readonly model: string
  readonly version: number
  readonly requestId: string
  /** Index of the entity in the request. */
  readonly entity: number
  readonly keys: unknown
  /** RFC 3339. */
  readonly asOf: string
  readonly logged: ShownAnswer
  /** What the history says; null where the service's code fails on it. */
  readonly history: ShownAnswer | null
}

export interface ShownAnswer {
  readonly value: JsonValue
  readonly status: string
}

const maxCauses = 20
const defaultGraceMicros = 10_000_000
/** The maximum answers that are read in one snapshot: while one is open, it delays changes of the tables. */
const answersPerSnapshot = 500

/**
 * Recomputes the features of logged vectors from the offline history, each as of its own moment and with the stored
 * code, and compares each value with the logged one.
 *
 * Most vectors equal what all rows say. The others are computed again from several row sets in one more pass over their
 * entities' rows (`computeCounterfactuals`). From these `classify` finds why a value differs.
 */
export async function checkParity(db: Database, { services }: ParityCatalog, options: ParityOptions): Promise<ParityReport> {
  const skipped = createSkipTally()
  const answers: LoggedAnswer[] = []
  const turns = startTurns(options.signal)
  const rows = await readLoggedVectors(db, options)
  const known = typeof services === 'function' ? await services([...new Set(rows.map((row) => row.service as DefinitionId))]) : services
  for (const row of rows) {
    if (turns.isOver()) await turns.next()
    const service = known.get(row.service as DefinitionId)
    if (service?.fingerprint !== row.serviceFingerprint) {
      const problem = service === undefined ? 'is not in the registry' : 'has changed since these predictions were answered'
      skipped.add('definitions', row.service as DefinitionId, problem, `The feature service "${row.service}" ${problem}.`)
      continue
    }
    try {
      const answer = readAnswer(row, service)
      if (answer.reads.some(({ from }) => from === 'default'))
        skipped.add('degraded', service.id, '', 'They were answered with defaults, because the online store was down.')
      else answers.push(answer)
    } catch (error) {
      if (!(error instanceof LockstepError)) throw error
      skipped.add('unreadable', service.id, error.code, error.message)
    }
  }
  const tally = createTally()
  const unequal: LoggedAnswer[] = []
  // in the order of time, so that the rows of a portion are near each other
  answers.sort((a, b) => a.row.asOf - b.row.asOf)
  for (let at = 0; at < answers.length; at += answersPerSnapshot) {
    options.onProgress?.(at - unequal.length, answers.length)
    unequal.push(...(await findUnequal(db, answers.slice(at, at + answersPerSnapshot), tally, turns, options.signal)))
  }
  options.onProgress?.(answers.length - unequal.length, answers.length)
  options.signal?.throwIfAborted()
  const { computed, failed } = await recompute(db, unequal, turns, options)
  const firstAt = unequal.reduce((first, { row }) => Math.min(first, row.at), Number.POSITIVE_INFINITY)
  // after the history was read, so that no erasure falls between the two
  const mayHaveErased = computed.size === 0 ? () => false : await readErasedRows(db, firstAt)
  for (const [answer, byRows] of computed) {
    compare(answer, byRows, mayHaveErased, tally)
    if (turns.isOver()) await turns.next()
  }
  options.onProgress?.(answers.length, answers.length)
  for (const [{ service }, error] of failed) skipped.add('unreadable', service.id, error.code, error.message)
  return { vectors: answers.length - failed.size, ...skipped.report(), ...tally.report() }
}

/** Counts the vectors that equal what all rows say, and returns the others. */
async function findUnequal(
  db: Database,
  answers: readonly LoggedAnswer[],
  tally: Tally,
  turns: Turns,
  signal: AbortSignal | undefined,
): Promise<LoggedAnswer[]> {
  const requests = answers.flatMap(({ service, keys, reads, row }) =>
    service.uses.map(({ plan }, use) => ({ plan, key: keys[use] ?? null, asOf: row.asOf, onlineOnly: reads[use]?.from !== 'history' })),
  )
  const read = await readHistory(db, requests, signal === undefined ? {} : { signal }).catch((error: unknown) => {
    // the rows of one entity may be at fault: each is then read separately
    if (error instanceof LockstepError && error.code !== 'POSTGRES_UNAVAILABLE') return null
    throw error
  })
  if (read === null) return [...answers]
  const unequal: LoggedAnswer[] = []
  let at = 0
  for (const answer of answers) {
    if (turns.isOver()) await turns.next()
    const { service } = answer
    const computed = evaluate(answer, read.slice(at, (at += service.uses.length)))
    const isEqual =
      computed !== null && service.features.every(({ type }, f) => sameAnswer(type, loggedFeature(answer, f), computed[f] as FeatureAnswer))
    if (!isEqual) unequal.push(answer)
    else for (const [f] of service.features.entries()) tally.add(answer, f, 'equal', null)
  }
  return unequal
}

/** By index of the service's features; null where its code fails on those rows. */
type ByRowSet = Readonly<Record<RowSet, readonly FeatureAnswer[] | null>>

/** Each answer from all row sets, view by view. */
async function recompute(
  db: Database,
  answers: readonly LoggedAnswer[],
  turns: Turns,
  { graceMicros, signal }: Pick<ParityOptions, 'graceMicros' | 'signal'>,
): Promise<{ computed: Map<LoggedAnswer, ByRowSet>; failed: ReadonlyMap<LoggedAnswer, LockstepError> }> {
  const usesByPlan = new Map<ViewPlan, { readonly answer: LoggedAnswer; readonly use: number }[]>()
  for (const answer of answers) {
    for (const [use, { plan }] of answer.service.uses.entries()) {
      const known = usesByPlan.get(plan)
      if (known === undefined) usesByPlan.set(plan, [{ answer, use }])
      else known.push({ answer, use })
    }
  }
  const found = new Map<LoggedAnswer, Counterfactuals[]>(answers.map((answer) => [answer, []]))
  const failed = new Map<LoggedAnswer, LockstepError>()
  for (const [plan, uses] of usesByPlan) {
    try {
      const { hasRow, hasXid } = await readSourceTable(db, plan.spec.source)
      const hasArrivals = hasRow && hasXid
      const served = uses.map(({ answer, use }) => servedAnswerOf(answer, use))
      const results = await computeCounterfactuals(db, plan, served, { hasArrivals, graceMicros: graceOf(plan, graceMicros), signal })
      for (const [i, { answer, use }] of uses.entries()) (found.get(answer) as Counterfactuals[])[use] = results[i] as Counterfactuals
    } catch (error) {
      if (!(error instanceof LockstepError) || error.code === 'POSTGRES_UNAVAILABLE') throw error
      for (const { answer } of uses) failed.set(answer, error)
    }
  }
  const computed = new Map<LoggedAnswer, ByRowSet>()
  for (const [answer, uses] of found) {
    if (failed.has(answer)) continue
    if (turns.isOver()) await turns.next()
    const valuesFrom = (rowSet: RowSet) => uses.map((use) => use[rowSet])
    computed.set(
      answer,
      byRowSet((rowSet) => evaluate(answer, valuesFrom(rowSet))),
    )
  }
  return { computed, failed }
}

function servedAnswerOf({ row, keys, reads }: LoggedAnswer, use: number): ServedAnswer {
  const { from, frontier } = reads[use] ?? { from: 'state', frontier: null }
  return {
    key: keys[use] ?? '',
    asOf: row.asOf,
    frontier: frontier ?? noTransactions,
    onlineOnly: from !== 'history',
    committed: frontierOf(parseSnapshot(row.snapshot)),
  }
}

/** A scheduled view has no grace period: its delay is the time that a run may take. */
function graceOf({ spec, upkeep }: ViewPlan, graceMicros: number | undefined): number {
  if (spec.availability.kind === 'schedule') return 0
  return graceMicros ?? upkeep.freshnessMicros ?? defaultGraceMicros
}

/** By index of the service's features; null where its code fails. */
function evaluate({ service, request, row }: LoggedAnswer, read: readonly ViewValues[]): readonly FeatureAnswer[] | null {
  try {
    const { values, statuses } = service.evaluate(read, request, row.asOf)
    return service.features.map((_, f) => ({ value: values[f] ?? null, status: statuses[f] as FeatureAnswer['status'] }))
  } catch (error) {
    if (error instanceof LockstepError) return null
    throw new LockstepError('INTERNAL', `The service "${service.id}" cannot be evaluated: ${messageOf(error)}`, { cause: error })
  }
}

function compare(answer: LoggedAnswer, computed: ByRowSet, mayHaveErased: MayHaveErasedRows, tally: Tally): void {
  const { service, row } = answer
  const ofUse = service.uses.map(({ plan }) => mayHaveErased(plan.spec.source, row.at))
  for (const [f, { type, use }] of service.features.entries()) {
    const answers = byRowSet((rowSet) => computed[rowSet]?.[f] ?? null)
    const logged = loggedFeature(answer, f)
    // the code of an on-demand view may read any view of the service
    const isErased = use === null ? ofUse.includes(true) : ofUse[use] === true
    tally.add(answer, f, classify(type, logged, answers, isErased), expectedAnswer(type, logged, answers))
  }
}

function loggedFeature({ values, statuses }: LoggedAnswer, f: number): FeatureAnswer {
  return { value: values[f] ?? null, status: statuses[f] as FeatureAnswer['status'] }
}

function createSkipTally() {
  const skipped: Record<SkipReason, number> = { definitions: 0, degraded: 0, unreadable: 0 }
  const causes = new Map<string, SkipCause & { vectors: number }>()
  return {
    /** @param kind distinguishes causes of one reason and service whose sentences name a row */
    add(reason: SkipReason, service: DefinitionId, kind: string, cause: string): void {
      skipped[reason]++
      const key = JSON.stringify([reason, service, kind])
      const known = causes.get(key)
      if (known === undefined) causes.set(key, { reason, service, vectors: 1, cause })
      else known.vectors++
    },
    report(): Pick<ParityReport, 'skipped' | 'skippedBecause'> {
      const frequent = [...causes.values()].toSorted((a, b) => b.vectors - a.vectors)
      return { skipped, skippedBecause: frequent.slice(0, maxCauses) }
    },
  }
}

interface Tally {
  add(answer: LoggedAnswer, feature: number, verdict: Verdict, expected: FeatureAnswer | null): void
  report(): Pick<ParityReport, 'features' | 'examples'>
}

function createTally(): Tally {
  const features = new Map<string, FeatureParity & Record<Verdict, number>>()
  const examples = new Map<string, Difference>()
  return {
    add(answer, f, verdict, expected) {
      const { service, row } = answer
      const feature = service.features[f] as ServicePlan['features'][number]
      const key = `${service.id} ${f}`
      let counts = features.get(key)
      if (counts === undefined) {
        const none = Object.fromEntries(verdicts.map((each) => [each, 0])) as Record<Verdict, number>
        features.set(key, (counts = { service: service.id, feature: feature.name, view: feature.view, ...none }))
      }
      counts[verdict]++
      if (verdict === 'equal' || verdict === 'erased' || examples.has(`${key} ${verdict}`)) return
      const shown = ({ value, status }: FeatureAnswer): ShownAnswer => ({
        value: valueToJson(feature.type, value),
        status: statusNames[status],
      })
      examples.set(`${key} ${verdict}`, {
        verdict,
        service: service.id,
        feature: feature.name,
        model: row.model,
        version: row.version,
        requestId: row.requestId,
        entity: row.entity,
        keys: row.keys,
        asOf: formatTimestamp(row.asOf),
        logged: shown(loggedFeature(answer, f)),
        history: expected === null ? null : shown(expected),
      })
    },
    report: () => ({ features: [...features.values()], examples: [...examples.values()] }),
  }
}
