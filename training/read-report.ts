import { isRecord } from '../kernel/is-record.ts'
import type { TrainerOutput } from './run-trainer.ts'
import { trainerFailed } from './run-trainer.ts'

/** The last line of a trainer's output. */
export interface TrainerReport {
  readonly metrics: Readonly<Record<string, number>>
  readonly parameters: Readonly<Record<string, unknown>>
}

const form = '{"metrics": {"auc": 0.83}, "parameters": {"trees": 100}}'

/**
 * Reads what a trainer reported: a JSON object in the last line of its standard output. A line that does not begin with
 * a brace reports nothing.
 *
 * @throws LockstepError `TRAINER_FAILED` where it is not JSON, as NaN is not, or has other members
 */
export function readReport({ lastLine, log }: TrainerOutput): TrainerReport {
  const line = lastLine.trim()
  if (!line.startsWith('{')) return { metrics: {}, parameters: {} }
  const { metrics = {}, parameters = {}, ...others } = parsed(line, log)
  const other = Object.keys(others)[0]
  if (other !== undefined) throw trainerFailed(`reported "${other}" in the last line of its output, which must be as ${form}`, log)
  if (!isRecord(metrics) || !isRecord(parameters))
    throw trainerFailed(`reported metrics or parameters that are no objects; the last line of its output must be as ${form}`, log)
  const wrong = Object.entries(metrics).find(([, value]) => typeof value !== 'number' || !Number.isFinite(value))
  if (wrong !== undefined) throw trainerFailed(`reported the metric "${wrong[0]}", which is no finite number`, log)
  return { metrics: metrics as Record<string, number>, parameters } // finite numbers, as checked
}

function parsed(line: string, log: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(line, storable)
    if (isRecord(value)) return value
  } catch (error) {
    if (error instanceof RangeError) throw trainerFailed(`reported ${error.message} in the last line of its output`, log)
    // said below
  }
  throw trainerFailed(
    `reported a last line that begins with "{" and is no JSON object, such as ${form}. NaN and Infinity are not JSON`,
    log,
  )
}

/** @throws RangeError for texts that PostgreSQL cannot read from JSON */
function storable(name: string, value: unknown): unknown {
  for (const text of [name, value])
    if (typeof text === 'string' && (text.includes('\0') || !text.isWellFormed()))
      throw new RangeError('a text with NUL or half a character')
  return value
}
