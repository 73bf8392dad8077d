import type { FeatureColumns } from '../../inference/load-model.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { Column, Value } from '../../kernel/values/value-type.ts'
import { createRandom } from '../../statistics/random.ts'
import type { RunnableVersion } from './run-version.ts'

/** How much each feature moves the prediction. */
export interface FeatureEffects {
  /** The output whose change was measured. */
  readonly output: string
  /** `absolute`: the mean absolute change of the output; `share`: the share of rows whose output changes. */
  readonly unit: 'absolute' | 'share'
  readonly rows: number
  readonly from: 'training set' | 'logged predictions'
  /** By feature that reaches the model. */
  readonly byFeature: Readonly<Record<string, number>>
}

type Row = readonly (Value | null)[]

const maxRows = 2_000
/** Runs of one row that all features together may cost. */
const maxRuns = 400_000

/**
 * Permutes one feature after the other among the rows, and measures how far the prediction moves. Source: Fisher,
 * Rudin and Dominici, JMLR 20 (2019), with the prediction itself in place of its loss, as no label is needed.
 *
 * @param rows features in service order, which a server would answer
 * @param draws rows whose values replace those of a permuted feature, so that a feature that is constant in `rows`
 *   still moves. Default: `rows`
 */
export async function featureEffects(
  model: RunnableVersion,
  rows: readonly Row[],
  from: FeatureEffects['from'],
  draws: readonly Row[] = rows,
): Promise<FeatureEffects | null> {
  const output = measuredOutput(model.outputs)
  const features = model.service.features.flatMap(({ name }, f) => (model.inputs.has(name) ? [{ name, f }] : []))
  const taken = rows.slice(0, Math.min(maxRows, Math.ceil(maxRuns / Math.max(1, features.length))))
  if (output === null || taken.length < 2 || draws.length < 2) return null
  const columns = columnsOf(model.service, taken)
  const run = async (changed: FeatureColumns): Promise<readonly Value[]> =>
    (await model.run(changed, taken.length))[output.index] as readonly Value[]
  const before = await run(columns)
  const byFeature: Record<string, number> = {}
  for (const { name, f } of features) {
    const order = permutation(draws.length, f)
    const drawn = taken.map((_, i) => draws[order[i % order.length] as number]?.[f] ?? null)
    byFeature[name] = meanChange(before, await run(columns.with(f, drawn)))
  }
  return { output: output.name, unit: output.unit, rows: taken.length, from, byFeature }
}

/** The first output of real numbers, else the first. */
function measuredOutput(
  outputs: readonly Column[],
): { readonly index: number; readonly name: string; readonly unit: FeatureEffects['unit'] } | null {
  const real = outputs.findIndex(({ type: { kind } }) => kind === 'float32' || kind === 'float64' || kind === 'vector')
  const index = Math.max(0, real)
  const output = outputs[index]
  return output === undefined ? null : { index, name: output.name, unit: real < 0 ? 'share' : 'absolute' }
}

/** Rows with features in service order, by column. */
export function columnsOf({ features }: ServicePlan, rows: readonly Row[]): FeatureColumns {
  return features.map((_, f) => rows.map((row) => row[f] ?? null))
}

function meanChange(before: readonly Value[], after: readonly Value[]): number {
  const changes = before.map((value, i) => change(value, after[i] ?? null))
  const known = changes.filter(Number.isFinite)
  return known.length === 0 ? 0 : known.reduce((sum, each) => sum + each / known.length, 0)
}

/** NaN where one of two numbers is not finite. */
function change(before: Value | null, after: Value | null): number {
  if (before instanceof Float32Array && after instanceof Float32Array)
    return before.reduce((sum, value, i) => sum + Math.abs(value - (after[i] ?? Number.NaN)), 0) / Math.max(1, before.length)
  if (typeof before === 'number' && typeof after === 'number') return Math.abs(before - after)
  return before === after ? 0 : 1
}

/** Fisher and Yates' shuffle of 0 to count - 1. */
function permutation(count: number, seed: number): Uint32Array {
  const random = createRandom(seed)
  const order = Uint32Array.from({ length: count }, (_, i) => i)
  for (let i = count - 1; i > 0; i--) {
    const other = random.below(i + 1)
    const [a, b] = [order[i] as number, order[other] as number]
    order[i] = b
    order[other] = a
  }
  return order
}
