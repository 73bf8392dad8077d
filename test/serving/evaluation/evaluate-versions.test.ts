import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { qualityReport } from '../../../monitoring/quality/quality-report.ts'
import { openTabularFile } from '../../../offline/files/tabular-file.ts'
import { loadCatalog } from '../../../registry/catalog.ts'
import { createLogger } from '../../../runtime/log.ts'
import type { EvaluateOptions, Evaluation } from '../../../serving/evaluation/evaluate-versions.ts'
import { evaluateVersions } from '../../../serving/evaluation/evaluate-versions.ts'
import { evaluatedFile, evaluatedVersion } from '../../../serving/evaluation/evaluated-model.ts'
import { rowsOfDataset } from '../../../serving/evaluation/labelled-rows.ts'
import { backfillPredictions } from '../../../serving/predict/backfill-predictions.ts'
import { predictSpine } from '../../../serving/predict/predict-spine.ts'
import { onnx } from '../fixtures.ts'
import type { LabelledPayments } from './labelled-payments.ts'
import { createLabelledPayments, rowCount, spine, start } from './labelled-payments.ts'

const day = 86_400_000_000
const log = createLogger('silent')
let setup: LabelledPayments
/** The predictions of each version for the rows of the spine, by an independent path; null: none. */
let truth: { readonly id: number; readonly fraud: boolean | null; readonly scores: readonly (number | null)[] }[]
let set: string

beforeAll(async () => {
  setup = await createLabelledPayments()
  set = (await setup.dataset('all.parquet')).id
  const scores = await Promise.all([1, 2].map(predictionsOf))
  const labels = await setup.world.db.query<{ id: number; fraud: boolean | null }>('select id, fraud from labels order by id')
  truth = labels.map(({ id, fraud }, row) => ({ id, fraud, scores: scores.map((each) => each[row] ?? null) }))
})
afterAll(() => setup?.close())

async function predictionsOf(version: number): Promise<(number | null)[]> {
  const found: (number | null)[] = []
  const asked = { model: 'fraud', version, spine: { sql: spine }, time: 'at', log }
  await predictSpine(setup.world.db, setup.catalog, asked, ({ predictions }) => {
    found.push(...((predictions[0] ?? []) as (number | null)[]))
  })
  return found
}

type Asked = Partial<EvaluateOptions> & { readonly numbers?: readonly number[]; readonly base?: number; readonly file?: string }

async function evaluate({ numbers = [1, 2], base, file, ...options }: Asked = {}): Promise<Evaluation> {
  const { db } = setup.world
  const version = (number: number) => evaluatedVersion(db, setup.catalog, 'fraud', number)
  return await evaluateVersions(
    { db, log },
    {
      model: setup.catalog.model('fraud'),
      versions: numbers.map(version),
      against: base === undefined ? undefined : version(base),
      rows: file === undefined ? await rowsOfDataset(db, set, undefined) : { files: [join(setup.folder, file)], dataset: null, time: 'at' },
      label: 'fraud',
      output: 'probabilities',
      ...options,
    },
  )
}

/** The rows that both versions answer, with their labels. */
const labelled = () =>
  truth.filter(({ fraud, scores }) => fraud !== null && !scores.includes(null)) as readonly { fraud: boolean; scores: readonly number[] }[]
const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length

function aucByPairs(version: number): number {
  const rows = labelled().map(({ fraud, scores }) => ({ fraud, score: scores[version] ?? 0 }))
  const [positives, negatives] = [rows.filter(({ fraud }) => fraud), rows.filter(({ fraud }) => !fraud)]
  const beaten = positives.flatMap((a) => negatives.map((b) => (a.score > b.score ? 1 : a.score === b.score ? 0.5 : 0)))
  return mean(beaten)
}

const logLossOf = (version: number): number =>
  mean(labelled().map(({ fraud, scores }) => -Math.log(fraud ? (scores[version] ?? 0) : 1 - (scores[version] ?? 0))))

describe('evaluateVersions', () => {
  it('gives the figures that pairs and sums of the predictions give', async () => {
    const { versions, comparisons, ...head } = await evaluate()
    expect(head).toMatchObject({ model: 'fraud', output: 'probabilities', kind: 'binary', threshold: 0.5, rows: rowCount, notes: [] })
    const unlabelled = truth.filter(({ fraud, scores }) => fraud === null && scores[0] !== null).length
    const refused = truth.filter(({ scores }) => scores[0] === null).length
    expect(refused).toBeGreaterThan(50)
    expect(versions.map(({ name, version, refused: none }) => [name, version, none])).toEqual([
      ['fraud@1', 1, refused],
      ['fraud@2', 2, refused],
    ])
    const n = labelled().length
    for (const [v, { total }] of versions.entries()) {
      expect(total).toMatchObject({ judged: n, withoutOutcome: unlabelled, entities: 30 })
      expect(total.figures['auc']?.value).toBeCloseTo(aucByPairs(v), 10)
      expect(total.figures['logLoss']?.value).toBeCloseTo(logLossOf(v), 10)
      expect(total.figures['accuracy']?.value).toBeCloseTo(
        mean(labelled().map(({ fraud, scores }) => Number((scores[v] ?? 0) >= 0.5 === fraud))),
        12,
      )
    }
    expect(comparisons).toMatchObject([{ name: 'fraud@2', against: 'fraud@1', rows: n, entities: 30 }])
    const figures = comparisons[0]?.figures ?? {}
    expect(figures['auc']?.value).toBeCloseTo(aucByPairs(1) - aucByPairs(0), 10)
    expect(figures['logLoss']?.value).toBeCloseTo(logLossOf(1) - logLossOf(0), 10)
    for (const name of ['auc', 'logLoss', 'brier', 'accuracy', 'precision', 'recall', 'f1']) {
      const [one, two] = versions.map(({ total }) => total.figures[name])
      expect(figures[name]?.value, name).toBeCloseTo((two?.value ?? 0) - (one?.value ?? 0), 10)
    }
  })

  it('gives the figures of quality for the same rows in the log', async () => {
    const { db } = setup.world
    const now = start + 20 * day
    await db.script(`INSERT INTO lockstep_source.reports (card, at, prediction_id, fraud)
      SELECT card, at + interval '1 hour', 'p' || id || '-' || v, fraud FROM labels, generate_series(1, 2) v WHERE fraud IS NOT NULL`)
    const retention = { logRetentionDays: 30, rollupDays: { minute: 7, hour: 90, day: 730 } }
    for (const version of [1, 2]) {
      const rows = { sql: `select 'p' || id || '-${version}' as pid, * from (${spine}) labels` }
      await backfillPredictions(db, setup.catalog, retention, { model: 'fraud', version, spine: rows, time: 'at', id: 'pid', now, log })
    }
    const by = ['card', 'amount:-0.2|0|0.2', 'size']
    const { versions } = await evaluate({ by })
    for (const { version, total, groups } of versions) {
      const asked = { model: 'fraud', outcome: 'reported', versions: [version ?? 0], from: start, to: now, asOf: now, by }
      const quality = await qualityReport(db, await loadCatalog(db), asked)
      expect(quality.total.judged).toBeGreaterThan(700)
      expect(total.figures).toEqual(closeFigures(quality.total.figures))
      expect(groups.map(({ by: labels, judged, figures }) => ({ labels, judged, figures }))).toEqual(
        quality.groups.map(({ by: labels, judged, figures }) => ({
          labels,
          judged,
          figures: expect.objectContaining(closeReasons(figures)) as unknown,
        })),
      )
    }
  })

  it.each(['csv', 'jsonl', 'parquet'])('judges a file of the format %s like its training set', async (ending) => {
    await setup.dataset(`format-${ending}.${ending}`)
    const { versions, comparisons, dataset } = await evaluate({ file: `format-${ending}.${ending}`, by: ['day', 'kind'] })
    const whole = await evaluate({ by: ['day', 'kind'] })
    expect(dataset).toBeNull()
    expect([versions, comparisons]).toEqual([whole.versions, whole.comparisons])
    expect(versions[0]?.groups.map(({ by }) => by)).toEqual([
      { day: '2026-03-02', kind: 'shop' },
      { day: '2026-03-02', kind: 'web' },
    ])
  })

  it('takes the part "test" of a split training set by default', async () => {
    const { db } = setup.world
    const split = await setup.dataset('split.parquet', [start + 6 * 3_600_000_000])
    const test = await evaluate({ rows: await rowsOfDataset(db, split.id, undefined) })
    expect(test).toMatchObject({ dataset: { id: split.id, part: 'test' }, notes: [] })
    expect(test.rows).toBe((await openTabularFile(join(setup.folder, 'split.test.parquet'))).rows)
    const all = await evaluate({ rows: await rowsOfDataset(db, split.id, 'all') })
    expect([all.rows, all.files.length]).toEqual([rowCount, 2])
    await expect(rowsOfDataset(db, split.id, 'validation')).rejects.toThrow(/has no part "validation": it has train, test\./)
  })

  it('compares a file that is not pushed with a version', async () => {
    const candidate = await evaluatedFile(setup.catalog, 'fraud', { bytes: await onnx('mlp'), file: 'mlp.onnx', dataset: set })
    const { versions, comparisons, notes } = await evaluate({ versions: [candidate], base: 1 })
    const pushed = await evaluate()
    expect(versions).toMatchObject([
      { name: 'fraud (candidate)', version: null },
      { name: 'fraud@1', version: 1 },
    ])
    expect(versions[0]?.total).toEqual(pushed.versions[1]?.total)
    expect(comparisons[0]?.figures).toEqual(pushed.comparisons[0]?.figures)
    expect(notes).toEqual([expect.stringContaining('fraud (candidate) was trained on this training set')])
  })

  it('finds no difference of a version from itself, and none where rows are few', async () => {
    const same = await evaluatedFile(setup.catalog, 'fraud', { bytes: await onnx('logistic'), file: 'logistic.onnx' })
    const figures = (await evaluate({ versions: [same], base: 1 })).comparisons[0]?.figures ?? {}
    expect(figures['auc']).toMatchObject({ value: 0, low: 0, high: 0, verdict: 'unclear' })
    expect(figures['f1']).toMatchObject({ value: 0, low: 0, high: 0, verdict: 'unclear' })
    await writeFile(
      join(setup.folder, 'few.jsonl'),
      '{"amount":1,"shift":0,"mean1d":1,"fraud":true,"card":"c1","at":"2026-03-02"}\n'.repeat(29),
    )
    const few = await evaluate({ file: 'few.jsonl' })
    expect(few.versions[0]?.total.figures['auc']).toMatchObject({
      value: null,
      reason: '29 rows have a label and a prediction, and 30 are needed',
    })
    expect(few.comparisons[0]?.figures['auc']?.reason).toBe('29 rows have a label and a prediction of both versions, and 30 are needed')
  })

  it('says for how many rows a version answered NaN', async () => {
    const row = (mean1d: number | null) => `${JSON.stringify({ amount: 1, shift: 0, mean1d, fraud: true, card: 'c1', at: '2026-03-02' })}\n`
    await writeFile(join(setup.folder, 'nulls.jsonl'), row(1) + row(null).repeat(40))
    const { versions, notes } = await evaluate({ file: 'nulls.jsonl', numbers: [1] })
    expect(versions[0]?.total).toMatchObject({ judged: 1, unreadable: 40 })
    expect(notes).toEqual([expect.stringMatching(/^fraud@1 answered NaN or an infinite number in "probabilities" for 40 of 41 rows/)])
  })

  it('keeps rows without a time apart from those of a day', async () => {
    const row = (at: string | null) => `${JSON.stringify({ amount: 1, shift: 0, mean1d: 1, fraud: true, card: 'c1', at })}\n`
    await writeFile(join(setup.folder, 'timeless.jsonl'), row('2026-03-02') + row(null).repeat(2))
    const { versions } = await evaluate({ file: 'timeless.jsonl', numbers: [1], by: ['day'] })
    expect(versions[0]?.groups.map(({ by, judged }) => [by['day'], judged])).toEqual([
      ['2026-03-02', 1],
      ['null', 2],
    ])
  })

  it('runs a version once that is named several times', async () => {
    const { versions, comparisons } = await evaluate({ numbers: [1, 2, 1, 2], base: 2 })
    expect(versions.map(({ name }) => name)).toEqual(['fraud@1', 'fraud@2'])
    expect(comparisons).toMatchObject([{ name: 'fraud@1', against: 'fraud@2' }])
    const alone = await evaluate({ numbers: [1], base: 1 })
    expect(alone).toMatchObject({ versions: [{ name: 'fraud@1' }], comparisons: [], notes: ['fraud@1 is not compared with itself.'] })
  })

  it('judges numbers, decisions and labels in text', async () => {
    const errors = await evaluate({ label: 'error' })
    expect(errors.kind).toBe('number')
    expect(errors.comparisons[0]?.figures['rmse']?.value).toBeCloseTo(
      (errors.versions[1]?.total.figures['rmse']?.value ?? 0) - (errors.versions[0]?.total.figures['rmse']?.value ?? 0),
      10,
    )
    const decisions = await evaluate({ output: 'label' })
    expect(decisions.comparisons[0]?.figures['logLoss']?.reason).toBe('the output is a decision, and no probability')
    expect(decisions.comparisons[0]?.figures['accuracy']).toEqual((await evaluate()).comparisons[0]?.figures['accuracy'])
  })

  it('says which features, column or output is not there', async () => {
    await writeFile(join(setup.folder, 'bare.csv'), 'amount,fraud,at\n1,true,2026-03-02\n')
    await expect(evaluate({ file: 'bare.csv' })).rejects.toThrow(
      /^fraud@1 takes "shift", "mean1d", which ".*bare\.csv" does not have\. Evaluate it on a training set of "fraud_features@1"\.$/,
    )
    const version = evaluatedVersion(setup.world.db, setup.catalog, 'fraud', 1)
    const { binding } = version
    const wideAndDeep = { ...version, binding: { ...binding, inputs: [...binding.inputs, ...binding.inputs] } }
    await expect(evaluate({ versions: [wideAndDeep], file: 'bare.csv' })).rejects.toThrow(/^fraud@1 takes "shift", "mean1d", which /)
    await expect(evaluate({ label: 'frauds' })).rejects.toMatchObject({
      code: 'COLUMNS_MISMATCH',
      message: expect.stringContaining('has no column "frauds", which was named as the label; it has id, card, at, fraud') as string,
    })
    await expect(evaluate({ label: 'kind' })).rejects.toMatchObject({
      code: 'INVALID_ROW',
      message: expect.stringContaining('column "kind" is "shop", which is not a number') as string,
    })
    await expect(evaluate({ output: undefined })).rejects.toThrow('The model "fraud" has several outputs: "probabilities", "label". Name')
    await expect(evaluate({ by: ['role'] })).rejects.toThrow(
      'Figures of rows in files cannot be split by "role"; name day, a slice or a column.',
    )
    await expect(evaluate({ by: ['cart'] })).rejects.toThrow('has no column "cart", which was named as a split of the figures')
  })

  it('refuses a training set whose features are those of another view', async () => {
    const { db } = setup.world
    await setup.world.push('later', 'logistic')
    const catalog = await loadCatalog(db)
    const asked = { model: catalog.model('later'), versions: [evaluatedVersion(db, catalog, 'later', 1)], label: 'fraud' }
    await expect(evaluateVersions({ db, log }, { ...asked, rows: await rowsOfDataset(db, set, undefined) })).rejects.toMatchObject({
      code: 'DATASET_MISMATCH',
      message: expect.stringContaining(
        '"later@1" is served with those of "other_features@1": "amount" comes from "spending@1" there and from "recent@1" here',
      ) as string,
    })
  })
})

/** Sums in another order may differ in the last digit. */
function closeFigures(figures: Readonly<Record<string, object>>): unknown {
  return Object.fromEntries(Object.entries(figures).map(([name, figure]) => [name, closeFigure(figure)]))
}

function closeFigure(figure: object): unknown {
  return Object.fromEntries(
    Object.entries(figure).map(([name, value]) => [name, typeof value === 'number' ? (expect.closeTo(value, 12) as unknown) : value]),
  )
}

/** Figures of quality without a value say that predictions are not mature. */
function closeReasons(figures: Readonly<Record<string, object>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(figures).map(([name, figure]) => [
      name,
      'reason' in figure && typeof figure.reason === 'string' && figure.reason.includes('are needed')
        ? (expect.objectContaining({ value: null }) as unknown)
        : closeFigure(figure),
    ]),
  )
}
