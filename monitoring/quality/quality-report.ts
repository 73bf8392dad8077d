import type { Window } from '../window.ts'
import type { OutcomePlan } from '../../kernel/compile-outcome.ts'
import { didYouMean } from '../../kernel/did-you-mean.ts'
import { LockstepError } from '../../kernel/errors.ts'
import { quotedNames } from '../../kernel/values/quoted-names.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import type { Catalog, CatalogModel } from '../../registry/catalog.ts'
import { judgingOutcomes } from '../../registry/judging-outcomes.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { maturePredictions } from '../outcomes/mature-predictions.ts'
import type { OutcomeRow } from '../outcomes/outcome-row.ts'
import { clientAndBackfillRoles } from '../role.ts'
import { readRollup } from '../rollups/read-rollups.ts'
import { hashText } from '../../kernel/values/hash-text.ts'
import type { OutcomeKind } from './judge.ts'
import { createJudge } from './judge.ts'
import type { JudgedPredictions, JudgeLimits, OutcomeOfPrediction } from './judge-predictions.ts'
import { createPredictionJudge } from './judge-predictions.ts'
import type { SplitBy } from './slices.ts'
import { parseSplit } from './slices.ts'

export interface QualityOptions {
  readonly model: string
  /** Absent: the only outcome of the model. */
  readonly outcome?: string | undefined
  readonly versions?: readonly number[] | undefined
  /** Predictions logged from `from` on and before `to`, epoch microseconds. */
  readonly from: number
  readonly to: number
  /** The figures as they were then: what was known, and which predictions were mature. */
  readonly asOf: number
  /** As `parseSplit` reads them: `version`, `role`, `day`, a slice, a key column, a feature. */
  readonly by: readonly string[]
  /** Figures are split by these times too, as `period`. Default: they are not. */
  readonly periods?: readonly Window[]
  readonly limits?: JudgeLimits
  /** Whether figures have their `spread`. Default: they have not. */
  readonly withSpread?: boolean
  readonly signal?: AbortSignal | undefined
  onProgress?(rows: number): void
}

export interface QualityReport extends JudgedPredictions {
  readonly model: string
  readonly outcome: string
  readonly kind: OutcomeKind
  /** The output that the outcome judges. */
  readonly output: string
  /** The least score of a positive decision; null: the outcome is not yes or no. */
  readonly threshold: number | null
  /** RFC 3339. */
  readonly from: string
  readonly to: string
  readonly asOf: string
  /** About how many predictions servers made in that time, logged or not; null: it was not measured. */
  readonly answered: number | null
  /** How long after a prediction its outcome may happen. */
  readonly withinMicros: number
  /** The outcome of a mature prediction without a row; null: figures leave it out. */
  readonly missing: boolean | number | string | null
}

export const defaultThreshold = 0.5
/** The first rows decide bins and, for numbers, whether an outcome is yes or no. */
const [firstRows, maxFirstRows] = [10_000, 200_000]

/**
 * Figures of the mature predictions in the log, in bounded memory: sums, and scores up to a limit. The log may be a
 * sample of all predictions.
 *
 * @throws LockstepError `UNKNOWN_DEFINITION`, `INVALID_REQUEST`, and those of `maturePredictions`
 */
export async function qualityReport(
  db: Pick<Database, 'query' | 'snapshot'>,
  catalog: Catalog,
  options: QualityOptions,
): Promise<QualityReport> {
  const model = catalog.model(options.model)
  const outcome = outcomeOf(catalog, model, options.outcome)
  const by = options.by.map((text) => parseSplit(text, model.operational.slices))
  if (options.periods !== undefined) by.push({ kind: 'period', name: 'period', periods: options.periods })
  const columns = columnsOf(catalog, model, by)
  const judged = await db.snapshot(async (snapshot) => {
    const { versions, from, to, asOf, signal } = options
    const query = { outcome, versions, from, to, asOf, immature: true, columns }
    const intake = createIntake(model, outcome, by, options)
    let rows = 0
    for await (const batch of maturePredictions(snapshot, query)) {
      signal?.throwIfAborted()
      for (const row of batch) intake.add(predictionOf(row, columns))
      rows += batch.length
      options.onProgress?.(rows)
    }
    return intake
  })
  const { judge, finish } = judged.start()
  const { spec } = outcome
  const { from, to, versions } = options
  const { rows } = await readRollup(db, { model: model.name, versions, roles: clientAndBackfillRoles, from, to })
  return {
    model: model.name,
    outcome: spec.name,
    kind: judge.kind,
    output: judge.output,
    threshold: judge.kind === 'binary' ? judge.threshold : null,
    from: formatTimestamp(options.from),
    to: formatTimestamp(options.to),
    asOf: formatTimestamp(options.asOf),
    answered: rows > 0 ? rows : null,
    withinMicros: spec.withinMicros,
    missing: spec.missing.kind === 'value' ? spec.missing.value : null,
    ...(await finish()),
  }
}

/** Holds the first rows back until they say what an outcome is. */
function createIntake(
  model: CatalogModel,
  { spec, figures }: OutcomePlan,
  by: readonly SplitBy[],
  { limits, withSpread = false }: Pick<QualityOptions, 'limits' | 'withSpread'>,
) {
  const isKnown = spec.type.kind === 'bool' || spec.type.kind === 'string'
  let first: OutcomeOfPrediction[] = []
  let withOutcome = 0
  let started: ReturnType<typeof start> | null = null

  function start() {
    const judge = createJudge({
      model: model.name,
      output: outputOf(model, spec.output),
      outcomeType: spec.type,
      threshold: model.operational.threshold ?? defaultThreshold,
      first: first.flatMap(({ outcome }) => (outcome === null ? [] : [outcome])),
    })
    const { add, finish } = createPredictionJudge({
      judge,
      by,
      first,
      business: figures.map(({ name }) => name),
      withSpread,
      limits,
    })
    for (const row of first) add(row)
    first = []
    return { judge, add, finish }
  }

  return {
    add(row: OutcomeOfPrediction): void {
      if (started !== null) return started.add(row)
      first.push(row)
      if (row.outcome !== null) withOutcome++
      if (first.length >= maxFirstRows || (first.length >= firstRows && (isKnown || withOutcome >= firstRows / 10))) started = start()
    },
    start: () => (started ??= start()),
  }
}

function predictionOf(row: OutcomeRow, columns: readonly string[]): OutcomeOfPrediction {
  const { at, version, role, output, outcome, mature, matched, amounts } = row
  const values: Record<string, unknown> = {}
  for (const [i, name] of columns.entries()) values[name] = row.columns[i] ?? null
  return { at, version, role: role ?? 'unknown', entity: hashText(row.entity), output, columns: values, outcome, mature, matched, amounts }
}

/**
 * @param asked the name of the outcome; undefined: the only one of the model that judges an output
 * @throws LockstepError `UNKNOWN_DEFINITION`, `INVALID_REQUEST`
 */
export function outcomeOf(catalog: Catalog, model: CatalogModel, asked: string | undefined): OutcomePlan {
  const { name } = model
  if (asked !== undefined) {
    const outcome = ownOutcome(catalog, model, asked)
    if (outcome.spec.output !== null) return outcome
    throw new LockstepError(
      'INVALID_REQUEST',
      `The outcome "${asked}" judges no output: it is declared with output: null. Name another outcome, or declare which output it judges.`,
      { details: { model: name, outcome: asked } },
    )
  }
  const own = judgingOutcomes(catalog, name)
  const names = quotedNames(own.map(({ spec }) => spec.name))
  const [only, ...others] = own
  if (only !== undefined && others.length === 0) return only
  throw new LockstepError(
    'INVALID_REQUEST',
    only === undefined
      ? `The model "${name}" has no outcome that judges an output, so its quality is not known; declare one, as in outcome('label', { model, value: t.bool, within: '1d' }).`
      : `The model "${name}" has several outcomes: ${names}. Name one.`,
    { details: { model: name } },
  )
}

/**
 * An outcome of a model, whether or not it judges an output.
 *
 * @throws LockstepError `UNKNOWN_DEFINITION`, `INVALID_REQUEST`
 */
export function ownOutcome(catalog: Catalog, { name }: CatalogModel, asked: string): OutcomePlan {
  const outcome = catalog.outcome(asked)
  if (outcome.spec.model === name) return outcome
  const own = [...catalog.outcomes.values()].flatMap(({ spec }) => (spec.model === name ? [spec.name] : []))
  const has = own.length === 0 ? 'has no outcome' : `has ${quotedNames(own)}`
  throw new LockstepError('INVALID_REQUEST', `The outcome "${asked}" is of model "${outcome.spec.model}"; the model "${name}" ${has}.`)
}

function outputOf({ name, spec }: CatalogModel, output: string | null) {
  const found = spec.output.find((each) => each.name === output)
  if (found !== undefined) return found
  throw new LockstepError(
    'INVALID_REQUEST',
    `The model "${name}" has no output "${output}", which its outcome judges; apply the outcome again.`,
  )
}

/** The columns that splits name. @throws LockstepError `INVALID_REQUEST` */
function columnsOf(catalog: Catalog, model: CatalogModel, by: readonly SplitBy[]): string[] {
  const { keys, request, features } = catalog.service(model.spec.service)
  const known = [...new Set([...keys, ...request, ...features].map(({ name }) => name))]
  const asked = [...new Set(by.flatMap((split) => (split.kind === 'column' ? [split.slice.column] : [])))]
  const unknown = asked.find((name) => !known.includes(name))
  if (unknown === undefined) return asked
  throw new LockstepError(
    'INVALID_REQUEST',
    `Predictions of "${model.name}" have no column "${unknown}".${didYouMean(unknown, known)} Split by version, role, day, or one of ${[...Object.keys(model.operational.slices ?? {}), ...known].join(', ')}.`,
    { details: { model: model.name, column: unknown } },
  )
}
