import { hashText } from '../../kernel/hash-text.ts'
import { LockstepError } from '../../kernel/errors.ts'
import { quotedNames } from '../../kernel/quoted-names.ts'
import { valueToJson } from '../../kernel/value-json.ts'
import type { Column, ColumnType, Value } from '../../kernel/value-type.ts'
import { sameType } from '../../kernel/value-type.ts'
import type { OutcomeOfPrediction } from '../../monitoring/quality/judge-predictions.ts'
import type { SplitBy } from '../../monitoring/quality/slices.ts'
import { parseSplit } from '../../monitoring/quality/slices.ts'
import type { TabularFile } from '../../offline/files/tabular-file.ts'
import { openTabularFile } from '../../offline/files/tabular-file.ts'
import type { TypedBatch } from '../../offline/files/typed-batches.ts'
import { typedBatches } from '../../offline/files/typed-batches.ts'
import type { CatalogModel } from '../../registry/catalog.ts'
import type { EvaluatedModel } from './evaluated-model.ts'
import type { LabelledRows } from './labelled-rows.ts'

export interface ColumnQuestion {
  readonly model: CatalogModel
  readonly evaluated: readonly EvaluatedModel[]
  readonly rows: LabelledRows
  readonly label: string
  /** The output that the label judges. */
  readonly output: Column
  readonly by: readonly string[]
  readonly signal: AbortSignal | undefined
}

/** Which columns of the files are read, and what they are to the versions. */
export interface ColumnPlan {
  readonly columns: readonly Column[]
  readonly labelType: ColumnType
  readonly by: readonly SplitBy[]
  /** The first rows, which decide what the label is, and bins of numbers. They have no output. */
  readonly first: readonly OutcomeOfPrediction[]
  readonly notes: readonly string[]
  read(batch: TypedBatch): ReadBatch
}

export interface ReadBatch {
  /** By row, without the output. */
  rowsOf(model: EvaluatedModel): readonly OutcomeOfPrediction[]
  featuresOf(model: EvaluatedModel): {
    /** By index of the service's features. One that the model does not take may be null throughout. */
    readonly values: readonly (readonly (Value | null)[])[]
    /** By row: required features without a value. */
    readonly missing: readonly (readonly string[])[]
    readonly length: number
  }
}

/** The first rows decide what the label is, as in the quality of logged predictions. */
const [firstRows, firstLabels, maxFirstRows] = [10_000, 1000, 200_000]

/** @throws LockstepError `COLUMNS_MISMATCH`, `INVALID_REQUEST`, `INVALID_ROW` */
export async function planColumns({ model, evaluated, rows, label, output, by: asked, signal }: ColumnQuestion): Promise<ColumnPlan> {
  const file = await openTabularFile(rows.files[0] ?? '')
  const has = (name: string): boolean => file.columns.some((column) => column.name === name)
  for (const each of evaluated) requireFeatures(each, file)
  if (!has(label)) throw noColumn(file, label, 'the label')
  const by = asked.map((text) => parseSplit(text, model.operational.slices))
  const time = rows.time ?? onlyTime(file)
  if (time !== null && !has(time)) throw noColumn(file, time, 'the time')
  requireSplits(by, file, time)

  const columns: Column[] = []
  const slotOf = (name: string, type: ColumnType): number => {
    const found = columns.findIndex((column) => column.name === name && sameType(column.type, type))
    return found >= 0 ? found : columns.push({ name, type }) - 1
  }
  const labelType = await labelTypeOf(file, label, output)
  const labelSlot = slotOf(label, labelType)
  const timeSlot = time === null ? null : slotOf(time, { kind: 'timestamp' })
  const typeOf = typesIn(evaluated, file)
  const splits = by.flatMap((split) =>
    split.kind === 'column' ? [{ name: split.slice.column, slot: slotOf(split.slice.column, typeOf(split.slice.column)) }] : [],
  )
  const inputs = new Map(
    evaluated.map(({ name, service, binding }) => {
      const taken = new Set(binding.inputs.flatMap((input) => input.columns.map(({ feature }) => feature)))
      const features = service.features.map((feature, index) => {
        const isRead = taken.has(index) || (feature.required && has(feature.name))
        return isRead && isColumn(feature.type) ? slotOf(feature.name, feature.type) : null
      })
      const keys = service.keys.every((key) => has(key.name)) ? service.keys.map((key) => slotOf(key.name, key.type)) : []
      return [name, { features, keys, required: service.features.flatMap(({ required }, f) => (required ? [f] : [])) }]
    }),
  )
  const inputsOf = ({ name }: EvaluatedModel) => inputs.get(name) as { features: (number | null)[]; keys: number[]; required: number[] }

  function read(batch: TypedBatch, before = 0): ReadBatch {
    const json = (slot: number, row: number) => valueToJson((columns[slot] as Column).type, batch.columns[slot]?.[row] ?? null)
    // versions of one service have the same keys
    const known = new Map<string, OutcomeOfPrediction[]>()

    function rowsBy(keys: readonly number[]): OutcomeOfPrediction[] {
      return Array.from({ length: batch.rows }, (_, row) => ({
        at: timeSlot === null ? Number.NaN : ((batch.columns[timeSlot]?.[row] as number | null | undefined) ?? Number.NaN),
        version: 0,
        role: 'champion',
        // as the log of predictions has keys
        entity: hashText(keys.length === 0 ? `row ${before + row}` : JSON.stringify(named(keys, row))),
        output: null,
        columns: Object.fromEntries(splits.map(({ name, slot }) => [name, json(slot, row)])),
        outcome: batch.columns[labelSlot]?.[row] ?? null,
        amounts: [],
        matched: true,
        mature: true,
      }))
    }

    function named(slots: readonly number[], row: number): object {
      return Object.fromEntries(slots.map((slot) => [columns[slot]?.name, json(slot, row)]))
    }

    return {
      rowsOf(each) {
        const { keys } = inputsOf(each)
        const found = known.get(keys.join()) ?? rowsBy(keys)
        known.set(keys.join(), found)
        return found
      },
      featuresOf(each) {
        const { features, required } = inputsOf(each)
        const nothing = new Array<null>(batch.rows).fill(null)
        const values = features.map((slot) => (slot === null ? nothing : (batch.columns[slot] ?? nothing)))
        const needed = required.filter((f) => features[f] !== null)
        const missing = nothing.map((_, row) =>
          needed.flatMap((f) => ((values[f]?.[row] ?? null) === null ? [each.service.features[f]?.name ?? ''] : [])),
        )
        return { values, missing, length: batch.rows }
      },
    }
  }

  const first: OutcomeOfPrediction[] = []
  let labels = 0
  for await (const batch of typedBatches(file, columns, firstRows)) {
    signal?.throwIfAborted()
    const found = read(batch).rowsOf(evaluated[0] as EvaluatedModel)
    labels += found.filter(({ outcome }) => outcome !== null).length
    first.push(...found)
    if (first.length >= maxFirstRows || (first.length >= firstRows && labels >= firstLabels)) break
  }
  let seen = 0
  return {
    columns,
    labelType,
    by,
    first,
    notes: evaluated.some((each) => inputsOf(each).keys.length === 0 && each.service.keys.length > 0)
      ? ['The rows lack a key column of the service, so intervals take all rows for independent.']
      : [],
    read(batch) {
      const found = read(batch, seen)
      seen += batch.rows
      return found
    },
  }
}

function isColumn(type: { readonly kind: string }): type is ColumnType {
  return type.kind !== 'list' && type.kind !== 'counts'
}

/** @throws LockstepError `COLUMNS_MISMATCH` */
function requireFeatures({ name, service, binding }: EvaluatedModel, { path, columns }: TabularFile): void {
  const taken = binding.inputs.flatMap((input) => input.columns.map((column) => column.name))
  const missing = taken.filter((feature) => !columns.some((column) => column.name === feature))
  if (missing.length === 0) return
  throw new LockstepError(
    'COLUMNS_MISMATCH',
    `${name} takes ${quotedNames(missing)}, which "${path}" does not have. Evaluate it on a training set of "${service.id}".`,
    { details: { path, missing, service: service.id } },
  )
}

/** @throws LockstepError `INVALID_REQUEST`, `COLUMNS_MISMATCH` */
function requireSplits(by: readonly SplitBy[], file: TabularFile, time: string | null): void {
  for (const split of by) {
    if (split.kind === 'column') {
      const { column } = split.slice
      if (!file.columns.some(({ name }) => name === column)) throw noColumn(file, column, 'a split of the figures')
    } else if (split.kind !== 'day') {
      throw new LockstepError(
        'INVALID_REQUEST',
        `Figures of rows in files cannot be split by "${split.name}"; name day, a slice or a column.`,
      )
    } else if (time === null) {
      throw new LockstepError(
        'INVALID_REQUEST',
        `Figures cannot be split by "day": "${file.path}" has no single time column. Name it (--time).`,
      )
    }
  }
}

function noColumn({ path, columns }: TabularFile, name: string, what: string): LockstepError {
  return new LockstepError(
    'COLUMNS_MISMATCH',
    `"${path}" has no column "${name}", which was named as ${what}; it has ${columns.map((column) => column.name).join(', ')}.`,
    { details: { path, missing: [name] } },
  )
}

function onlyTime({ columns }: TabularFile): string | null {
  const times = columns.filter(({ type }) => type?.kind === 'timestamp')
  return times.length === 1 ? (times[0]?.name ?? null) : null
}

/** The type of a column that figures are split by: of the feature or key, or else as the file has it. */
function typesIn(evaluated: readonly EvaluatedModel[], file: TabularFile): (name: string) => ColumnType {
  const known = evaluated.flatMap(({ service }) => [...service.features, ...service.keys])
  return (name) => {
    const type = known.find((column) => column.name === name)?.type ?? file.columns.find((column) => column.name === name)?.type
    if (type !== undefined && type !== null && isColumn(type)) return type
    throw new LockstepError('INVALID_REQUEST', `Figures cannot be split by "${name}": its values cannot be compared. Name another column.`)
  }
}

const truths = /^\s*(true|false|t|f)\s*$/i

/** The type of a label that is text in the file: yes or no, or a number, unless the output is a text. */
async function labelTypeOf(file: TabularFile, label: string, output: Column): Promise<ColumnType> {
  const { type } = file.columns.find(({ name }) => name === label) ?? { type: null }
  if (output.type.kind === 'string') return output.type
  if (type === null) throw new LockstepError('INVALID_REQUEST', `The label "${label}" of "${file.path}" has a type that cannot be read.`)
  if (type.kind !== 'string') return type
  for await (const { columns } of typedBatches(file, [{ name: label, type: { kind: 'string' } }], firstRows)) {
    const texts = (columns[0] ?? []).filter((text) => text !== null)
    if (texts.length > 0) return { kind: texts.every((text) => typeof text === 'string' && truths.test(text)) ? 'bool' : 'float64' }
  }
  return { kind: 'float64' }
}
