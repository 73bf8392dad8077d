import type { ErrorCode } from '../kernel/errors.ts'
import { LockstepError, messageOf } from '../kernel/errors.ts'
import type { Figure } from '../monitoring/quality/figure.ts'
import type { Catalog } from '../registry/catalog.ts'
import { championAlias } from '../registry/models/model-aliases.ts'
import type { MeasuredFigure, TrainingEvaluation } from '../registry/trainings/training-run.ts'
import type { TrainingSpec } from '../registry/trainings/training-spec.ts'
import type { Database } from '../runtime/postgres/database.ts'
import type { Logger } from '../runtime/log.ts'
import type { EvaluatedModel } from '../serving/evaluation/evaluated-model.ts'
import { evaluatedFile, evaluatedVersion } from '../serving/evaluation/evaluated-model.ts'
import type { Evaluation } from '../serving/evaluation/evaluate-versions.ts'
import { evaluateVersions } from '../serving/evaluation/evaluate-versions.ts'
import { rowsOfDataset } from '../serving/evaluation/labelled-rows.ts'

export interface EvaluationTools {
  readonly db: Database
  readonly log: Logger
}

export interface EvaluatedCandidate {
  /** The model file. */
  readonly bytes: Uint8Array
  /** The id of its training set. */
  readonly dataset: string
  readonly signal: AbortSignal
  /** Called with the number of test rows so far. */
  readonly onRows: (rows: number) => void
}

/** The errors of a version that cannot be judged on these rows. They do not mean that the file is bad. */
const notJudged: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'INVALID_REQUEST',
  // a label that is neither a number nor true or false
  'INVALID_ROW',
  'COLUMNS_MISMATCH',
  'DATASET_MISMATCH',
  'MODEL_MISMATCH',
  'UNKNOWN_DEFINITION',
])

/**
 * Runs a model file and the champion on the test rows, as a server runs them, and judges both by the label.
 *
 * @throws LockstepError `MODEL_INVALID`, `MODEL_MISMATCH` where the file does not fit the model; what
 *   `evaluateVersions` throws where it is not about the figures
 */
export async function evaluateCandidate(
  { db, log }: EvaluationTools,
  catalog: Catalog,
  spec: TrainingSpec,
  { bytes, dataset, signal, onRows }: EvaluatedCandidate,
): Promise<TrainingEvaluation> {
  const model = catalog.model(spec.model)
  const candidate = await evaluatedFile(catalog, spec.model, { bytes, file: 'model.onnx' })
  const rows = await rowsOfDataset(db, dataset, 'test')
  const champion = model.aliases.get(championAlias)?.version
  const run = (against: EvaluatedModel | undefined): Promise<Evaluation> =>
    evaluateVersions(
      { db, log },
      {
        model,
        versions: [candidate],
        against,
        rows,
        label: spec.label,
        output: spec.output ?? undefined,
        signal,
        onProgress: onRows,
      },
    )
  const notes: string[] = []
  const noted = async (what: string, evaluate: () => Promise<Evaluation>): Promise<Evaluation | null> => {
    try {
      return await evaluate()
    } catch (error) {
      if (!(error instanceof LockstepError) || !notJudged.has(error.code)) throw error
      notes.push(`${what}: ${messageOf(error)}`)
      return null
    }
  }
  const compared =
    champion === undefined
      ? null
      : await noted(`${spec.model}@${champion} cannot be compared`, () => run(evaluatedVersion(db, catalog, spec.model, champion)))
  const evaluation = compared ?? (await noted('The version cannot be judged by the label', () => run(undefined)))
  const figuresOf = (name: string | undefined) => evaluation?.versions.find((each) => each.name === name)?.total.figures ?? {}
  const [comparison] = evaluation?.comparisons ?? []
  return {
    output: evaluation?.output ?? null,
    rows: evaluation?.rows ?? 0,
    candidate: measured(figuresOf(candidate.name)),
    champion: champion ?? null,
    championFigures: measured(figuresOf(comparison?.against)),
    differences: measured(comparison?.figures ?? {}),
    notes: [...new Set([...notes, ...reasons(figuresOf(candidate.name)), ...(evaluation?.notes ?? [])])],
  }
}

/** The figures that have a value. */
function measured(figures: Readonly<Record<string, Figure>>): Record<string, MeasuredFigure> {
  return Object.fromEntries(
    Object.entries(figures).flatMap(([name, { value, low, high }]) => (value === null ? [] : [[name, { value, low, high }] as const])),
  )
}

/** Why figures have no value. */
function reasons(figures: Readonly<Record<string, Figure>>): string[] {
  return [...new Set(Object.values(figures).flatMap(({ reason }) => reason ?? []))]
}
