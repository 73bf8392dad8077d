import { createProcessPool } from '../../inference/process-pool.ts'
import type { ColumnRunner } from '../../inference/run-columns.ts'
import { LockstepError } from '../../kernel/errors.ts'
import { quotedNames } from '../../kernel/values/quoted-names.ts'
import type { Column } from '../../kernel/values/value-type.ts'
import type { OutcomeKind } from '../../monitoring/quality/judge.ts'
import { minRows } from '../../monitoring/quality/figure.ts'
import type { Judge } from '../../monitoring/quality/judge.ts'
import { createJudge } from '../../monitoring/quality/judge.ts'
import type { JudgedGroup, JudgeLimits, OutcomeOfPrediction } from '../../monitoring/quality/judge-predictions.ts'
import { createPredictionJudge, defaultLimits } from '../../monitoring/quality/judge-predictions.ts'
import type { FigureDifference, PairedTally } from '../../monitoring/quality/paired-tally.ts'
import { createPairedTally } from '../../monitoring/quality/paired-tally.ts'
import { defaultThreshold } from '../../monitoring/quality/quality-report.ts'
import { openTabularFile } from '../../offline/files/tabular-file.ts'
import { typedBatches } from '../../offline/files/typed-batches.ts'
import type { CatalogModel } from '../../registry/catalog.ts'
import { requireOwnFeatures } from '../../registry/models/trained-features.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { Logger } from '../../runtime/log.ts'
import { predictJoined } from '../batch/write-batch-part.ts'
import { openUnserved } from '../../inference/open-unserved.ts'
import type { EvaluatedModel } from './evaluated-model.ts'
import type { LabelledRows } from './labelled-rows.ts'
import type { ReadBatch } from './plan-columns.ts'
import { planColumns } from './plan-columns.ts'

export interface EvaluateOptions {
  readonly model: CatalogModel
  /** One or more. */
  readonly versions: readonly EvaluatedModel[]
  /** The version to compare with. Default: the first of several versions; a single version is compared with none. */
  readonly against?: EvaluatedModel | undefined
  readonly rows: LabelledRows
  /** The column with what came of each row. */
  readonly label: string
  /** The output that is judged. Default: the only one. */
  readonly output?: string | undefined
  /** The least score of a positive decision. Default: that of the model. */
  readonly threshold?: number | undefined
  /** As `parseSplit` reads them: `day`, a slice, or a column of the rows. */
  readonly by?: readonly string[]
  readonly limits?: JudgeLimits
  readonly signal?: AbortSignal | undefined
  onProgress?(rows: number): void
}

export interface Evaluation {
  readonly model: string
  readonly output: string
  readonly label: string
  readonly kind: OutcomeKind
  /** The least score of a positive decision; null: the label is not yes or no. */
  readonly threshold: number | null
  readonly rows: number
  readonly files: readonly string[]
  readonly dataset: { readonly id: string; readonly part: string | null } | null
  readonly versions: readonly EvaluatedFigures[]
  readonly comparisons: readonly Comparison[]
  /** Limits of the figures, a sentence each. */
  readonly notes: readonly string[]
}

/** The figures of one version, as `qualityReport` gives them of the same predictions. */
export interface EvaluatedFigures extends Pick<EvaluatedModel, 'version' | 'name' | 'sha256'> {
  /** Rows without a prediction: a server would refuse them, or their run failed. */
  readonly refused: number
  /** `withoutOutcome` counts rows without a label. */
  readonly total: JudgedGroup
  readonly groups: readonly JudgedGroup[]
  /** Whether more groups were found than are kept apart: the rest is one group. */
  readonly isFull: boolean
}

/** The figures of a version minus those of another, over the rows that both have answered. */
export interface Comparison {
  /** `fraud@4` */
  readonly name: string
  readonly against: string
  readonly rows: number
  /** null: more than are kept apart. */
  readonly entities: number | null
  readonly figures: Readonly<Record<string, FigureDifference>>
}

const maxBatchRows = 8192

/**
 * Runs versions on rows that have their features and labels, as a server runs them, and judges all of them on these
 * rows. Memory does not grow with the rows.
 *
 * @throws LockstepError `COLUMNS_MISMATCH` where the rows lack features of a version or the label; `INVALID_REQUEST`
 *   where the label fits no output; `INVALID_ROW`, and what the files and models throw
 */
export async function evaluateVersions(
  { db, log }: { readonly db: Database; readonly log: Logger },
  options: EvaluateOptions,
): Promise<Evaluation> {
  const { model, rows, limits = defaultLimits, signal } = options
  const { evaluated, against } = comparedVersions(options)
  const output = judgedOutput(model, options.output)
  if (rows.dataset !== null)
    for (const each of evaluated)
      await requireOwnFeatures(db.kysely, rows.dataset, { model: each.name, service: each.service, binding: each.binding })
  const plan = await planColumns({ model, evaluated, rows, label: options.label, output, by: options.by ?? [], signal })
  const judge = createJudge({
    model: model.name,
    output,
    outcomeType: plan.labelType,
    threshold: options.threshold ?? model.operational.threshold ?? defaultThreshold,
    first: plan.first.flatMap(({ outcome }) => (outcome === null ? [] : [outcome])),
  })
  const pool = createProcessPool()
  const opened: { close(): Promise<void> }[] = []
  const runs: VersionRun[] = []
  const pairs: Pair[] = []
  let done = 0
  try {
    for (const each of evaluated) {
      const found = await openUnserved(each.bytes, { binding: each.binding, name: each.name, operational: model.operational, pool, log })
      opened.push(found)
      const judged = createPredictionJudge({ judge, by: plan.by, first: plan.first, limits })
      const place = found.outputs.findIndex(({ name }) => name === output.name)
      runs.push({ ...each, run: found.runColumns, place, judged, refused: 0, notFinite: 0, scores: [] })
    }
    const base = runs.find(({ name }) => name === against?.name)
    if (base !== undefined)
      for (const run of runs) if (run !== base) pairs.push({ run, base, tally: createPairedTally(judge, limits.total) })
    for (const path of rows.files) {
      for await (const batch of typedBatches(await openTabularFile(path), plan.columns, maxBatchRows)) {
        signal?.throwIfAborted()
        const read = plan.read(batch)
        for (const run of runs) await judgeBatch(judge, run, read)
        for (const pair of pairs) comparePair(judge, pair, read)
        done += batch.rows
        options.onProgress?.(done)
      }
    }
  } finally {
    await Promise.all(opened.map((each) => each.close())).finally(() => pool.close())
  }
  const finished: EvaluatedFigures[] = []
  for (const { version, name, sha256, refused, judged } of runs) {
    const { total, groups, isFull } = await judged.finish()
    finished.push({ version, name, sha256, refused, total: ofRows(total), groups: groups.map(ofRows), isFull })
  }
  const comparisons: Comparison[] = []
  for (const { run, base, tally } of pairs)
    comparisons.push({
      name: run.name,
      against: base.name,
      rows: tally.rows,
      entities: tally.entities(),
      figures: await tally.finish(),
    })
  return {
    model: model.name,
    output: output.name,
    label: options.label,
    kind: judge.kind,
    threshold: judge.kind === 'binary' ? judge.threshold : null,
    rows: done,
    files: rows.files,
    dataset: rows.dataset === null ? null : { id: rows.dataset.id, part: rows.dataset.part },
    versions: finished,
    comparisons,
    notes: [
      ...plan.notes,
      ...(options.against !== undefined && pairs.length === 0 ? [`${options.against.name} is not compared with itself.`] : []),
      ...runs.flatMap((run) => notFiniteNote(run, output.name, done)),
      ...evaluated.flatMap((each) => trainedOnNote(each, rows)),
    ],
  }
}

/** A version under evaluation. */
interface VersionRun extends EvaluatedModel {
  readonly run: ColumnRunner
  /** The index of the judged output. */
  readonly place: number
  readonly judged: ReturnType<typeof createPredictionJudge>
  refused: number
  /** Rows for which the judged output is NaN or infinite. */
  notFinite: number
  /** Its scores of the present batch, by row; null: no prediction, or one that cannot be compared. */
  scores: readonly (number | string | null)[]
}

interface Pair {
  readonly run: VersionRun
  readonly base: VersionRun
  readonly tally: PairedTally
}

/** Each version once, the one that others are compared with included. */
function comparedVersions({ versions, against = versions.length > 1 ? versions[0] : undefined }: EvaluateOptions) {
  const all = against === undefined ? versions : [...versions, against]
  return { evaluated: all.filter(({ name }, i) => all.findIndex((each) => each.name === name) === i), against }
}

async function judgeBatch(judge: Judge, version: VersionRun, batch: ReadBatch): Promise<void> {
  const { run, place, judged } = version
  const labelled = batch.rowsOf(version)
  const { predictions, statuses } = await predictJoined(run, batch.featuresOf(version))
  version.scores = statuses.map((status, row) => {
    const answer = predictions[place]?.[row] ?? null
    if (status !== 'OK' && status !== 'INVALID') {
      version.refused++
      return null
    }
    if (status === 'INVALID' && answer === null) version.notFinite++
    judged.add({ ...(labelled[row] as OutcomeOfPrediction), output: answer })
    return judge.score(answer)
  })
}

function comparePair(judge: Judge, { run, base, tally }: Pair, batch: ReadBatch): void {
  for (const [row, { entity, outcome: label }] of batch.rowsOf(run).entries()) {
    const [score = null, against = null] = [run.scores[row], base.scores[row]]
    const outcome = label === null ? null : judge.outcome(label)
    if (score !== null && against !== null && outcome !== null) tally.add({ entity, score, against, outcome })
  }
}

/** The reason for no figures in the words of rows: nothing matures here. */
function ofRows(group: JudgedGroup): JudgedGroup {
  const { judged, figures } = group
  if (judged >= minRows) return group
  const reason = `${judged} ${judged === 1 ? 'row has' : 'rows have'} a label and a prediction, and ${minRows} are needed`
  return { ...group, figures: Object.fromEntries(Object.entries(figures).map(([name, figure]) => [name, { ...figure, reason }])) }
}

/** @throws LockstepError `INVALID_REQUEST` */
function judgedOutput({ name, spec }: CatalogModel, asked: string | undefined): Column {
  const names = quotedNames(spec.output.map((column) => column.name))
  const [only, ...others] = spec.output
  const found = asked === undefined ? (others.length === 0 ? only : undefined) : spec.output.find((column) => column.name === asked)
  if (found !== undefined) return found
  throw new LockstepError(
    'INVALID_REQUEST',
    asked === undefined
      ? `The model "${name}" has several outputs: ${names}. Name the one to compare with the label (--output).`
      : `The model "${name}" has no output "${asked}"; it has ${names}.`,
    { details: { model: name } },
  )
}

function notFiniteNote({ name, notFinite }: VersionRun, output: string, rows: number): string[] {
  if (notFinite === 0) return []
  return [
    `${name} answered NaN or an infinite number in "${output}" for ${notFinite} of ${rows} rows, so the figures leave them out. Many models do so if a feature is null: give such features a "default".`,
  ]
}

function trainedOnNote({ name, dataset }: EvaluatedModel, { dataset: rows }: LabelledRows): string[] {
  if (rows === null || dataset !== rows.id || (rows.part !== null && rows.part !== 'train')) return []
  return [
    `${name} was trained on this training set, so its figures are better than those of new rows. Evaluate it on a part that it has not seen.`,
  ]
}
