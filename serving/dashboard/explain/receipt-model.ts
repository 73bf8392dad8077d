import { LockstepError } from '../../../kernel/errors.ts'
import { isRecord } from '../../../kernel/is-record.ts'
import { Status, statusNames } from '../../../kernel/states/state.ts'
import { parseTimestamp } from '../../../kernel/values/time.ts'
import type { ListedPrediction } from '../../../monitoring/prediction-log/read-predictions.ts'
import { readServedEntity } from '../../../monitoring/parity/logged-answer.ts'
import { loggedStages } from '../../../monitoring/prediction-log/logged-times.ts'
import { listPredictions, readStages } from '../../../monitoring/prediction-log/read-predictions.ts'
import { readHistory } from '../../../offline/history.ts'
import { isTemporary } from '../../../runtime/is-temporary.ts'
import type { ReceiptData } from '../contract/receipt.ts'
import { receipt } from '../contract/receipt.ts'
import type { Ask } from '../read-model.ts'
import { readModel } from '../read-model.ts'
import { auditRead } from './audit-read.ts'
import { outputsOf, servedFeatures, textOf } from './explain-models.ts'
import { createOutcomeLookup } from './receipt-outcomes.ts'

const maxRows = 20

type Prediction = ReceiptData['predictions'][number]
type Answered = NonNullable<Prediction['features'][number]['recomputed']>

/**
 * One answered request: its versions, its values, and whether the history gives the same values. Each use is audited.
 */
export const receiptModel = readModel({
  path: '/receipts/:id',
  scope: 'explain:read',
  data: receipt,
  isPersonal: true,
  async read(ask) {
    const { db, params } = ask
    const id = params['id'] ?? ''
    const byRequest = await listPredictions(db, { since: 0, requestId: id, limit: maxRows })
    const rows = byRequest.length > 0 ? byRequest : await listPredictions(db, { since: 0, predictionId: id, limit: 1 })
    const [first] = rows
    if (first === undefined) {
      throw new LockstepError(
        'NOT_FOUND',
        `The prediction log has no request or prediction "${id.slice(0, 100)}". It was not logged (LOCKSTEP_LOG_PREDICTIONS), or is older than the log keeps.`,
      )
    }
    const outcomesOf = createOutcomeLookup(db, ask.deps.catalog(), ask.now)
    const predictions: Prediction[] = []
    for (const row of rows) {
      await auditRead(ask, 'receipt', row.model, { entities: [row.keys], at: row.asOf })
      predictions.push(await predictionOf(ask, row, outcomesOf))
    }
    return { data: { requestId: first.requestId, predictions } }
  },
})

async function predictionOf(ask: Ask, row: ListedPrediction, outcomesOf: ReturnType<typeof createOutcomeLookup>): Promise<Prediction> {
  const found = await recomputedFeatures(ask, row)
  const recomputed = typeof found === 'string' ? null : found
  const reads = Array.isArray(row.reads) ? row.reads.filter(isRecord) : []
  const service = ask.deps.catalog().services.get(row.service as `${string}@${number}`)
  const features = Object.entries(servedFeatures(row)).map(([feature, answered]): Prediction['features'][number] => {
    const spec = service?.features.find(({ name }) => name === feature)
    const use = spec === undefined || spec.use === null ? null : (service?.uses[spec.use] ?? null)
    const read = reads.find((each) => each['view'] === use?.plan.id && (each['alias'] ?? null) === use?.alias)
    const again = recomputed?.get(feature) ?? null
    return {
      feature,
      ...answered,
      view: spec?.view ?? null,
      eventTime: typeof read?.['eventTime'] === 'string' ? read['eventTime'] : null,
      recomputed: again,
      isSame: again === null ? null : again.value === answered.value,
    }
  })
  const compared = features.filter(({ isSame }) => isSame !== null)
  const different = compared.filter(({ isSame }) => isSame === false)
  return {
    predictionId: row.predictionId ?? row.requestId,
    at: row.at,
    asOf: row.asOf,
    entity: JSON.stringify(row.keys),
    model: row.model,
    version: row.version,
    service: row.service,
    role: row.role ?? 'unknown',
    experiment: row.experiment === null || row.variant === null ? null : { name: row.experiment, variant: row.variant },
    outputs: outputsOf(row),
    outcomes: await outcomesOf(row),
    latencyMs: row.role === 'backfill' ? null : row.latencyMicros / 1000,
    stages: stagesOf(await readStages(ask.db, row), row.latencyMicros),
    features,
    recomputed:
      typeof found === 'string'
        ? `The features cannot be computed as of then: ${found}`
        : found === null || compared.length === 0
          ? null
          : different.length === 0
            ? `All ${compared.length} features come out the same as of then.`
            : `${different.length} of ${compared.length} features come out differently as of then: ${different.map(({ feature }) => feature).join(', ')}.`,
  }
}

const stageNames: Readonly<Record<(typeof loggedStages)[number], string>> = {
  receive: 'Match, admit, authorize, parse',
  features: 'Read features',
  evaluate: 'Transform',
  wait: 'Wait for the model',
  run: 'Run the model',
  encode: 'Encode the answer',
}

/** The stages of a request; none: they were not measured. The log is written after the answer. */
function stagesOf(micros: readonly number[] | null, totalMicros: number): Prediction['stages'] {
  if (micros === null) return []
  const stages = loggedStages.map((stage, i) => ({ name: stageNames[stage], ms: (micros[i] ?? 0) / 1000 }))
  const rest = totalMicros - micros.reduce((sum, each) => sum + each, 0)
  return rest > 0 ? [...stages, { name: 'Note in the log', ms: rest / 1000 }] : stages
}

/**
 * All features from the offline history as of the row's moment, by the code that serves them and trains with them;
 * null: its service is not there any more, or why they cannot be computed.
 */
async function recomputedFeatures({ db, deps }: Ask, row: ListedPrediction): Promise<ReadonlyMap<string, Answered> | string | null> {
  const service = deps.catalog().services.get(row.service as `${string}@${number}`)
  if (service === undefined) return null
  const asOf = parseTimestamp(row.asOf)
  try {
    const { keys, request } = readServedEntity(row, service)
    const read = await readHistory(
      db,
      service.uses.map(({ plan }, use) => ({ plan, key: keys[use] ?? '', asOf })),
    )
    const { values, statuses } = service.evaluate(read, request, asOf)
    return new Map(
      service.features.map(({ name, type }, f) => [
        name,
        { value: textOf(type, values[f] ?? null), status: statusNames[statuses[f] ?? Status.present] },
      ]),
    )
  } catch (error) {
    if (error instanceof LockstepError && !isTemporary(error)) return error.message
    throw error
  }
}
