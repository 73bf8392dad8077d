import { formatTimestamp } from '../../kernel/values/time.ts'
import { memoizeWeak } from '../../kernel/memoize-weak.ts'
import type { Column } from '../../kernel/values/value-type.ts'
import { predictionIdPrefix } from '../../monitoring/prediction-log/prediction-id.ts'
import type { Predicted } from '../predict/predict.ts'
import { canSayAll, invalidWriter, recordWriter } from '../value-text.ts'

/** A message that is predicted. */
export interface PipelineRow {
  /** The place of the message: the id of its answer. */
  readonly id: string
  /** The members of the message that are the key of its answer. */
  readonly key: Readonly<Record<string, unknown>>
}

const outputsWriter = memoizeWeak((outputs: readonly Column[]) => recordWriter(outputs))

/**
 * The answers to messages as JSON, by index of the rows:
 *
 *     {"id":"kafka:landed:…-0-17","pipeline":"score_flights","key":{"airport":"ATL"},"model":"delay","version":3,
 *      "asOf":"2026-03-01T12:00:00Z","predictionId":"…/0","prediction":{"probability":0.25}}
 *
 * `prediction` is the text that `POST /v1/predict` answers.
 */
export function answersOf(predicted: Predicted, rows: readonly PipelineRow[], pipeline: string, predictionBase: string): string[] {
  const answers = new Array<string>(rows.length)
  const asOf = formatTimestamp(predicted.read.asOf)
  const { degraded } = predicted.read
  for (const { model, rows: own, role, experiment, variant } of predicted.groups) {
    const { outputs, version } = model
    const arm = experiment === null ? '' : `,"experiment":${JSON.stringify(experiment)},"variant":${JSON.stringify(variant)}`
    const by = `"model":${JSON.stringify(version.model)},"version":${version.version},"role":"${role}"${arm},"asOf":"${asOf}"${degraded ? ',"degraded":true' : ''}`
    for (const row of own) {
      const { id, key } = rows[row] as PipelineRow
      const prediction = predicted.predictions[row] ?? []
      const statuses = canSayAll(prediction) ? '' : `,"outputStatuses":${invalidWriter(outputs)(prediction)}`
      const head = `{"id":${JSON.stringify(id)},"pipeline":"${pipeline}","key":${jsonOf(key)},${by}`
      const predictionId = JSON.stringify(`${predictionIdPrefix(predictionBase)}${row}`)
      answers[row] = `${head},"predictionId":${predictionId},"prediction":${outputsWriter(outputs)(prediction)}${statuses}}`
    }
  }
  return answers
}

/** Large integers of a message stay integers. */
function jsonOf(key: Readonly<Record<string, unknown>>): string {
  const members = Object.entries(key).map(
    ([name, value]) => `${JSON.stringify(name)}:${typeof value === 'bigint' ? String(value) : JSON.stringify(value ?? null)}`,
  )
  return `{${members.join()}}`
}
