import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { frontierOf, noTransactions } from '../../kernel/frontier.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import { statusNames } from '../../kernel/state.ts'
import type { ViewValues } from '../../kernel/state.ts'
import { formatTimestamp } from '../../kernel/time.ts'
import { valueToJson } from '../../kernel/value-json.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { DefinitionId, JsonValue } from '../../kernel/view-spec.ts'
import { readHistory } from '../../offline/history.ts'
import type { LoggedQuery } from '../prediction-log/read-predictions.ts'
import { readLoggedVectors } from '../prediction-log/read-predictions.ts'
import { readSourceTable } from '../../offline/source-table.ts'
import type { DoubtedAnswer, WhatIf } from '../../offline/counterfactual.ts'
import { whatIf } from '../../offline/counterfactual.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { Database } from '../../runtime/database.ts'
import { parseSnapshot } from '../../runtime/snapshot-bounds.ts'
import type { Side, Sides, Verdict } from './classify.ts'
import { classify, expectedOf, sameSide, verdicts } from './classify.ts'
import type { LoggedAnswer } from './logged-answer.ts'
import { readAnswer } from './logged-answer.ts'

export interface ParityOptions extends LoggedQuery {
  /**
   * How long after a row became visible it may be missing in an answer of a continuous view, microseconds. Absent: the
   * view's freshness, or 10 s where it declares none.
   */
  readonly graceMicros?: number
  readonly signal?: AbortSignal
}

export interface ParityReport {
  /** Logged vectors that were made again. */
  readonly vectors: number
  /** Vectors that were not, by why. */
  readonly skipped: Readonly<Record<SkipReason, number>>
  readonly features: readonly FeatureParity[]
  /** Differences, the first of each feature and verdict. */
  readonly examples: readonly Difference[]
}

/**
 * - `definitions`: the service is not in the registry as it was
 * - `degraded`: defaults were answered, as the online store was away
 * - `unreadable`: the row is not one that a server writes, or its history cannot be made
 */
export type SkipReason = 'definitions' | 'degraded' | 'unreadable'

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
  readonly logged: ShownSide
  /** What the history says; null where the service's code fails on it. */
  readonly history: ShownSide | null
}

export interface ShownSide {
  readonly value: JsonValue
  readonly status: string
}

const defaultGraceMicros = 10_000_000

/**
 * Takes logged vectors, makes the features of each again from the offline history as of its own moment, by the stored code, and says of each value how both compare.
 *
 * Most are what the history says of all its rows, and are done. What is left is made again in several ways from one more pass over its entity's rows: by those that the
 * answer knew (its frontier), by those that were there, and so on (`whatIf`), which tells why it differs (`classify`).
 */
export async function checkParity(db: Database, catalog: Pick<Catalog, 'services'>, options: ParityOptions): Promise<ParityReport> {
  const skipped = { definitions: 0, degraded: 0, unreadable: 0 }
  const answers: LoggedAnswer[] = []
  for (const row of await readLoggedVectors(db, options)) {
    const service = catalog.services.get(row.service as DefinitionId)
    if (service?.fingerprint !== row.serviceFingerprint) {
      skipped.definitions++
      continue
    }
    try {
      const answer = readAnswer(row, service)
      if (answer.reads.some(({ from }) => from === 'default')) skipped.degraded++
      else answers.push(answer)
    } catch (error) {
      if (!(error instanceof LockstepError)) throw error
      skipped.unreadable++
    }
  }
  const tally = createTally()
  const doubted = await withoutEqual(db, answers, tally, options.signal)
  options.signal?.throwIfAborted()
  const { made, failed } = await makeAgain(db, doubted, options.graceMicros)
  for (const [answer, ways] of made) judge(answer, ways, tally)
  skipped.unreadable += failed
  return { vectors: answers.length - failed, skipped, ...tally.report() }
}

/** Counts the vectors that are what all of the history says, and gives the others. */
async function withoutEqual(
  db: Database,
  answers: readonly LoggedAnswer[],
  tally: Tally,
  signal: AbortSignal | undefined,
): Promise<LoggedAnswer[]> {
  const requests = answers.flatMap(({ service, keys, reads, row }) =>
    service.uses.map(({ plan }, use) => ({ plan, key: keys[use] ?? null, asOf: row.asOf, onlineOnly: reads[use]?.from !== 'history' })),
  )
  const read = await readHistory(db, requests, signal === undefined ? {} : { signal }).catch((error: unknown) => {
    // one entity's rows may be at fault: each is then told apart
    if (error instanceof LockstepError && error.code !== 'POSTGRES_UNAVAILABLE') return null
    throw error
  })
  if (read === null) return [...answers]
  const doubted: LoggedAnswer[] = []
  let at = 0
  for (const answer of answers) {
    const { service } = answer
    const sides = evaluate(answer, read.slice(at, (at += service.uses.length)))
    const isEqual = sides !== null && service.features.every(({ type }, f) => sameSide(type, loggedSide(answer, f), sides[f] as Side))
    if (!isEqual) doubted.push(answer)
    else for (const [f] of service.features.entries()) tally.add(answer, f, 'equal', null)
  }
  return doubted
}

type Ways = Readonly<Record<keyof WhatIf, readonly Side[] | null>>
const ways = ['own', 'prompt', 'there', 'all', 'ownTurned', 'allTurned'] as const

/** Each in all ways, view by view. */
async function makeAgain(
  db: Database,
  answers: readonly LoggedAnswer[],
  graceMicros: number | undefined,
): Promise<{ made: Map<LoggedAnswer, Ways>; failed: number }> {
  const memoizeWeak = new Map<ViewPlan, { readonly answer: LoggedAnswer; readonly use: number }[]>()
  for (const answer of answers) {
    for (const [use, { plan }] of answer.service.uses.entries()) {
      const known = memoizeWeak.get(plan)
      if (known === undefined) memoizeWeak.set(plan, [{ answer, use }])
      else known.push({ answer, use })
    }
  }
  const found = new Map<LoggedAnswer, WhatIf[]>(answers.map((answer) => [answer, []]))
  const failed = new Set<LoggedAnswer>()
  for (const [plan, asked] of memoizeWeak) {
    try {
      const { hasRow, hasXid } = await readSourceTable(db, plan.spec.source)
      const arrivals = hasRow && hasXid
      const doubts = asked.map(({ answer, use }) => doubtOf(answer, use, { arrivals, graceMicros: graceOf(plan, graceMicros) }))
      const results = await db.snapshot((snapshot) => whatIf(snapshot, plan, doubts, arrivals))
      for (const [i, { answer, use }] of asked.entries()) (found.get(answer) as WhatIf[])[use] = results[i] as WhatIf
    } catch (error) {
      if (!(error instanceof LockstepError) || error.code === 'POSTGRES_UNAVAILABLE') throw error
      for (const { answer } of asked) failed.add(answer)
    }
  }
  const made = new Map<LoggedAnswer, Ways>()
  for (const [answer, uses] of found) {
    if (failed.has(answer)) continue
    const sides = ways.map((way) => [way, evaluate(answer, uses.map((use) => use[way]))] as const) // prettier-ignore
    made.set(answer, Object.fromEntries(sides) as unknown as Ways)
  }
  return { made, failed: failed.size }
}

function doubtOf(
  { row, keys, reads }: LoggedAnswer,
  use: number,
  { arrivals, graceMicros }: { readonly arrivals: boolean; readonly graceMicros: number },
): Omit<DoubtedAnswer, 'plan'> {
  const { from, frontier } = reads[use] ?? { from: 'state', frontier: null }
  return {
    key: keys[use] ?? '',
    asOf: row.asOf,
    own: arrivals ? (frontier ?? noTransactions) : null,
    onlineOnly: from !== 'history',
    there: frontierOf(parseSnapshot(row.snapshot)),
    graceMicros,
  }
}

/** Of a scheduled view the delay is all the time that there is: what its run lacks then is late. */
function graceOf({ spec, upkeep }: ViewPlan, graceMicros: number | undefined): number {
  if (spec.availability.kind === 'schedule') return 0
  return graceMicros ?? upkeep.freshnessMicros ?? defaultGraceMicros
}

/** By index of the service's features; null where its code fails. */
function evaluate({ service, request, row }: LoggedAnswer, read: readonly ViewValues[]): readonly Side[] | null {
  try {
    const { values, statuses } = service.evaluate(read, request, row.asOf)
    return service.features.map((_, f) => ({ value: values[f] ?? null, status: statuses[f] as Side['status'] }))
  } catch (error) {
    if (error instanceof LockstepError) return null
    throw new LockstepError('INTERNAL', `The service "${service.id}" cannot be evaluated: ${messageOf(error)}`, { cause: error })
  }
}

function judge(answer: LoggedAnswer, made: Ways, tally: Tally): void {
  for (const [f, { type }] of answer.service.features.entries()) {
    const sides = Object.fromEntries(ways.map((way) => [way, made[way]?.[f] ?? null])) as unknown as Sides
    const logged = loggedSide(answer, f)
    tally.add(answer, f, classify(type, logged, sides), expectedOf(type, logged, sides))
  }
}

function loggedSide({ values, statuses }: LoggedAnswer, f: number): Side {
  return { value: values[f] ?? null, status: statuses[f] as Side['status'] }
}

interface Tally {
  add(answer: LoggedAnswer, feature: number, verdict: Verdict, expected: Side | null): void
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
      if (verdict === 'equal' || examples.has(`${key} ${verdict}`)) return
      const shown = ({ value, status }: Side): ShownSide => ({ value: valueToJson(feature.type, value), status: statusNames[status] })
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
        logged: shown(loggedSide(answer, f)),
        history: expected === null ? null : shown(expected),
      })
    },
    report: () => ({ features: [...features.values()], examples: [...examples.values()] }),
  }
}
