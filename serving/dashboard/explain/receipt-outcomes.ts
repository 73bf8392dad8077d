import type { OutcomePlan } from '../../../kernel/compile-outcome.ts'
import { measuredText } from '../../../kernel/values/duration.ts'
import { LockstepError } from '../../../kernel/errors.ts'
import { formatTimestamp, parseTimestamp } from '../../../kernel/values/time.ts'
import { valueToJson } from '../../../kernel/values/value-json.ts'
import { isNumeric } from '../../../kernel/values/value-type.ts'
import type { FoundOutcome, OutcomeRow } from '../../../monitoring/outcomes/outcome-row.ts'
import { maturePredictions } from '../../../monitoring/outcomes/mature-predictions.ts'
import type { ListedPrediction } from '../../../monitoring/prediction-log/read-predictions.ts'
import { createJudge } from '../../../monitoring/quality/judge.ts'
import { defaultThreshold } from '../../../monitoring/quality/quality-report.ts'
import type { Catalog } from '../../../registry/catalog.ts'
import type { Database } from '../../../runtime/postgres/database.ts'
import { sqlState } from '../../../runtime/postgres/relation.ts'
import type { ReceiptData } from '../contract/receipt.ts'
import { momentText, rounded } from '../models/traffic-charts.ts'

type ReceiptOutcome = ReceiptData['predictions'][number]['outcomes'][number]

const timeoutMs = 2000
const cancelled = '57014'

/** Looks up what came of predictions. A source whose rows take long to find is not asked again. */
export function createOutcomeLookup(db: Database, catalog: Catalog, now: number): (row: ListedPrediction) => Promise<ReceiptOutcome[]> {
  /** Names of sources. */
  const slow = new Set<string>()

  async function find(plan: OutcomePlan, row: ListedPrediction): Promise<ReceiptOutcome> {
    const none = {
      outcome: plan.spec.name,
      state: 'unknown',
      value: null,
      at: null,
      afterSeconds: null,
      error: null,
      isRight: null,
    } as const
    if (row.predictionId === null) return { ...none, says: 'The prediction has no id, so no outcome can be matched with it.' }
    if (slow.has(plan.spec.source.name)) return { ...none, says: slowText(plan) }
    const begin = performance.now()
    try {
      const read = await readOne(db, plan, row, row.predictionId, now)
      // the embedded database has no time limit
      if (performance.now() - begin > timeoutMs) slow.add(plan.spec.source.name)
      return described(catalog, plan, row, read, now)
    } catch (error) {
      if (sqlState(error) === cancelled) {
        slow.add(plan.spec.source.name)
        return { ...none, says: slowText(plan) }
      }
      if (error instanceof LockstepError && error.code !== 'POSTGRES_UNAVAILABLE') return { ...none, says: error.message }
      throw error
    }
  }

  return async (row) => {
    const found: ReceiptOutcome[] = []
    for (const plan of catalog.outcomes.values()) if (plan.spec.model === row.model) found.push(await find(plan, row))
    return found
  }
}

function slowText({ spec: { source, match } }: OutcomePlan): string {
  const columns = match.kind === 'prediction' ? match.column : match.key.map(({ name }) => name).join(', ')
  return `Not found within ${timeoutMs / 1000} s: an index on ${columns} of the table of source "${source.name}" makes it fast.`
}

async function readOne(
  db: Database,
  outcome: OutcomePlan,
  row: ListedPrediction,
  prediction: string,
  now: number,
): Promise<OutcomeRow | null> {
  const at = parseTimestamp(row.at)
  return await db.snapshot(async (snapshot) => {
    const query = { outcome, from: at, to: at + 1, asOf: now, immature: true, prediction, versions: [row.version], timeoutMs }
    let found: OutcomeRow | null = null
    for await (const [first] of maturePredictions(snapshot, query)) found ??= first ?? null
    return found
  })
}

function described(catalog: Catalog, plan: OutcomePlan, row: ListedPrediction, read: OutcomeRow | null, now: number): ReceiptOutcome {
  const { spec } = plan
  const asOf = parseTimestamp(row.asOf)
  const until = asOf + spec.withinMicros
  const found = read?.found ?? null
  if (found === null) {
    const isOpen = now < until
    const end = momentText(formatTimestamp(until))
    const missing = plan.missing === null ? 'It counts in no figure.' : `It counts as ${textOf(plan, plan.missing)}.`
    return {
      outcome: spec.name,
      state: isOpen ? 'waiting' : 'none',
      value: null,
      at: null,
      afterSeconds: null,
      error: null,
      isRight: null,
      says: isOpen ? `It may happen until ${end}.` : `None happened until ${end}. ${missing}`,
    }
  }
  // the answer was given for a past moment, when the time for its outcome was over: no outcome since can be in time
  const answered = parseTimestamp(row.at)
  const isOfPast = found.late && found.at > answered && answered > until
  const after = found.at - (isOfPast ? answered : asOf)
  // an outcome that names the prediction may be from before it, as clocks differ
  const side = after < 0 ? 'before' : 'after'
  const passed = measuredText(Math.abs(after) / 1e6)
  return {
    outcome: spec.name,
    state: isOfPast ? 'not counted' : found.late ? 'late' : 'arrived',
    value: found.value === null ? null : textOf(plan, found.value),
    at: formatTimestamp(found.at),
    afterSeconds: after / 1e6,
    ...errorOf(catalog, plan, row, read?.output ?? null, found),
    says: isOfPast
      ? `It happened ${passed} after the answer, which is as of ${momentText(row.asOf)}. Quality counts what happened until ${momentText(formatTimestamp(until))}.`
      : `It happened ${passed} ${side} the moment of the prediction${found.late ? tooLate(after - spec.withinMicros) : ''}.`,
  }
}

function tooLate(micros: number): string {
  return `, ${measuredText(micros / 1e6)} later than counts`
}

function textOf({ spec }: OutcomePlan, value: NonNullable<FoundOutcome['value']>): string {
  const json = valueToJson(spec.type, value)
  return typeof json === 'string' ? json : typeof json === 'bigint' ? String(json) : JSON.stringify(json)
}

/** How far the judged output is from the outcome, as the figures of quality judge it. */
function errorOf(
  catalog: Catalog,
  { spec }: OutcomePlan,
  row: ListedPrediction,
  given: OutcomeRow['output'],
  { value }: FoundOutcome,
): Pick<ReceiptOutcome, 'error' | 'isRight'> {
  const model = catalog.models.get(row.model)
  const output = model?.spec.output.find(({ name }) => name === spec.output)
  if (model === undefined || output === undefined || value === null || isOfAnotherScale(catalog, spec))
    return { error: null, isRight: null }
  const threshold = model.operational.threshold ?? defaultThreshold
  const judge = createJudge({
    model: row.model,
    output,
    outcomeType: spec.type,
    threshold,
    first: output.type.kind === 'vector' ? [value] : [],
  })
  const [score, outcome] = [judge.score(given), judge.outcome(value)]
  if (score === null || outcome === null) return { error: null, isRight: null }
  if (typeof score === 'string' || typeof outcome === 'string') return { error: null, isRight: score === outcome }
  if (judge.kind === 'number')
    return { error: `${rounded(score)} in place of ${rounded(outcome)}: off by ${signed(score - outcome)}`, isRight: null }
  const isRight = score >= threshold === (outcome === 1)
  return { error: judge.decides ? null : `a score of ${rounded(score)}: off by ${signed(score - outcome)}`, isRight }
}

/** If a yes or no judges the same output, the output is its score: its distance from a number means nothing. */
function isOfAnotherScale(catalog: Catalog, { type, model, output }: OutcomePlan['spec']): boolean {
  if (!isNumeric(type)) return false
  return [...catalog.outcomes.values()].some(({ spec }) => spec.model === model && spec.output === output && spec.type.kind === 'bool')
}

function signed(value: number): string {
  return value === 0 ? '0' : `${value > 0 ? '+' : '−'}${rounded(Math.abs(value))}`
}
