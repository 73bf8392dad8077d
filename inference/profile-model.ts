import type { TensorInfo } from '../registry/models/model-contract.ts'
import { fixedSize } from '../registry/models/model-contract.ts'
import { float16Bits } from './float16.ts'
import type { ModelSession } from './model-session.ts'
import type { TensorData, TensorValue, Tensors } from './tensor-value.ts'
import { numbersOf, tensorRows } from './tensor-value.ts'

/** The result of a trial on generated rows. */
export interface ModelProfile {
  /** Rows and the shortest time in milliseconds of a few runs. Empty if no run succeeded. */
  readonly times: readonly (readonly [rows: number, ms: number])[]
  /** Whether all outputs of each row stay within the tolerance for any other rows of the batch. */
  readonly sharesRuns: boolean
  /**
   * The same with a margin for rounding, because ONNX Runtime may sum in another order. If true, a run of many rows
   * costs no more than separate runs.
   */
  readonly independent: boolean
}

export interface ProfileOptions {
  /** Whether the model takes one row at a time. */
  readonly single: boolean
  /** See `ModelOperational`. */
  readonly tolerance: number
  /** By input: the dims after the first. Without them, dims that the file leaves free are 1. */
  readonly rowShapes: Readonly<Record<string, readonly number[]>>
}

const sizes = [1, 8, 32, 128, 256]
/** The second size if the usual one would take too long. Two rows may take as long as one, if reading weights does. */
const slowSize = 2
const repeats = 4
/** Runs before the first measured run. */
const warmUps = 8
/** A size is the last one if its run takes longer than this and longer than two single rows. */
const longRunMs = 10
/** The time limit for the repeated runs of one size. Other load may delay one of the runs, but hardly all of them. */
const repeatMs = 100
/** The same for the sizes that decide whether rows are slow: one run that other load delays must not decide it. */
const slowRepeatMs = 400
/** The second size is not tried if the first predicts a longer run than this. */
const secondMs = 250
/** How many times as long as one row a run of `slowSize` may take, for the model to share runs. */
const slowCost = 1.5
/** How many rows are also run separately, and for about how long. */
const alone = 16
const aloneMs = 1000
/** How much results of independent rows may differ between batches, due to rounding. */
const roundingTolerance = 1e-4
/** The same for an output of float16: the step between two numbers of it from 1 to 2. */
const float16Tolerance = 2 ** -10

/** Runs a model at several sizes on generated rows, and compares the results in a batch with those of single rows. */
export async function profileModel(session: ModelSession, options: ProfileOptions): Promise<ModelProfile> {
  for (const plain of [false, true]) {
    try {
      return await measure(session, options, plain)
    } catch {
      // the model may refuse random values; zeros are tried next
    }
  }
  return { times: [], sharesRuns: false, independent: false }
}

async function measure(session: ModelSession, { single, tolerance, rowShapes }: ProfileOptions, plain: boolean): Promise<ModelProfile> {
  const { inputs, outputs } = session.metadata
  const fetches = outputs.filter((output) => output.isTensor).map((output) => output.name)
  const largest = single ? 1 : (sizes.at(-1) as number)
  const feeds = Object.fromEntries(
    inputs.map((input, index) => [input.name, madeUp(input, rowShapes[input.name], largest, plain ? null : index)]),
  )
  const first = (rows: number, from = 0): Tensors =>
    Object.fromEntries(Object.entries(feeds).map(([name, tensor]) => [name, tensorRows(tensor, from, from + rows)]))
  for (let i = 0; i < warmUps; i++) if ((await session.run(first(1), fetches)).ms > longRunMs) break
  const times: [number, number][] = []
  const together: [number, Tensors][] = []
  for (let size: number | null = 1; size !== null; size = single ? null : nextSize(times)) {
    let least = Number.POSITIVE_INFINITY
    let tensors: Tensors = {}
    try {
      for (let run = 0, spentMs = 0; run < repeats && spentMs < (size <= slowSize ? slowRepeatMs : repeatMs); run++) {
        const result = await session.run(first(size), fetches)
        least = Math.min(least, result.ms)
        spentMs += result.ms
        tensors = result.tensors
      }
    } catch (error) {
      // the model may take only one row
      if (!plain || times.length === 0) throw error
      return { times, sharesRuns: false, independent: false }
    }
    times.push([size, least])
    together.push([size, tensors])
  }
  const [[, rowMs] = [0, 0]] = times
  if (together.length === 1 || together.at(-1)?.[0] === slowSize) return { times, sharesRuns: false, independent: false }
  const rounding = new Map(outputs.map(({ name, type }) => [name, type === 'float16' ? float16Tolerance : roundingTolerance]))
  // if large terms cancel out, the rest is only as exact as the large terms
  const scales = new Map(fetches.map((name) => [name, greatest(together.at(-1)?.[1][name])]))
  const singleRows = Math.min(alone, together.at(-1)?.[0] ?? 1, Math.ceil(aloneMs / rowMs))
  let sharesRuns = tolerance > 0
  for (let row = 0; row < singleRows; row++) {
    const { tensors } = await session.run(first(1, row), fetches)
    for (const [size, those] of together) {
      if (row >= size) continue
      const same = (name: string, margin: number) => sameRow(those[name], tensors[name], row, size, margin * (scales.get(name) ?? 1))
      if (sharesRuns && !fetches.every((name) => same(name, tolerance))) sharesRuns = false
      if (!sharesRuns && !fetches.every((name) => same(name, Math.max(tolerance, rounding.get(name) ?? 0))))
        return { times, sharesRuns, independent: false }
    }
  }
  return { times, sharesRuns, independent: true }
}

/** The size to try after those that were measured; null: no other. */
function nextSize(times: ModelProfile['times']): number | null {
  const [[, rowMs] = [0, 0], [size, ms] = [1, 0]] = [times[0], times.at(-1)]
  const next = sizes.find((each) => each > size) ?? null
  switch (size) {
    case 1:
      return next !== null && next * ms <= secondMs ? next : slowSize * ms <= secondMs ? slowSize : null
    case slowSize:
      return ms <= slowCost * rowMs ? next : null
    default:
      return ms <= Math.max(longRunMs, 2 * rowMs) ? next : null
  }
}

/** Whether one row of an output of `size` rows equals the output of the same row alone. */
function sameRow(together: TensorValue | undefined, single: TensorValue | undefined, row: number, size: number, margin: number): boolean {
  if (together === undefined || single === undefined || together.dims[0] !== size || single.dims[0] !== 1) return false
  const [data, alone] = [numbersOf(tensorRows(together, row, row + 1)), numbersOf(single)]
  if (data.length !== alone.length) return false
  for (let i = 0; i < data.length; i++) {
    const [a, b] = [data[i], alone[i]]
    if (Object.is(a, b)) continue
    // -0 and 0 are equal, and so are floats within the margin
    if (typeof a !== 'number' || typeof b !== 'number' || !(Math.abs(a - b) <= margin)) return false
  }
  return true
}

/** The greatest absolute value, at least 1. */
function greatest(tensor: TensorValue | undefined): number {
  let result = 1
  for (const value of tensor === undefined ? [] : numbersOf(tensor))
    if (typeof value === 'number' && Number.isFinite(value)) result = Math.max(result, Math.abs(value))
  return result
}

/** @param seed null: zeros */
function madeUp(input: TensorInfo, rowShape: readonly number[] | undefined, rows: number, seed: number | null): TensorValue {
  const rest = rowShape ?? input.shape.slice(1).map((size) => fixedSize(size) ?? 1)
  const dims = input.shape.length === 0 ? [] : [rows, ...rest]
  const length = dims.reduce((product, size) => product * size, 1)
  const random = seed === null ? () => 0 : numbers(seed + 1)
  return { type: input.type, dims, data: dataOf(input.type, length, random) }
}

/** Floats between -3 and 3; integers and bools of 0 and 1, which suit classes, flags and amounts; empty strings. */
function dataOf(type: string, length: number, random: () => number): TensorData {
  const some = <T>(value: () => T) => Array.from({ length }, value)
  const bit = () => (random() > 0.5 ? 1 : 0)
  switch (type) {
    case 'float16':
      return Uint16Array.from(some(() => float16Bits(random() * 6 - 3)))
    case 'float32':
      return Float32Array.from(some(() => random() * 6 - 3))
    case 'float64':
      return Float64Array.from(some(() => random() * 6 - 3))
    case 'int64':
      return BigInt64Array.from(some(() => BigInt(bit())))
    case 'int32':
      return Int32Array.from(some(bit))
    case 'bool':
      return Uint8Array.from(some(bit))
    case 'string':
      return some(() => '')
    default:
      throw new Error(`Values of the type ${type} are not made up.`)
  }
}

/** A linear congruential generator (Numerical Recipes), so that the numbers are reproducible. */
function numbers(seed: number): () => number {
  let state = seed
  return () => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) / 2 ** 32
}
