import { hashText } from '../../kernel/values/hash-text.ts'
import { LockstepError } from '../../kernel/errors.ts'
import { quotedNames } from '../../kernel/values/quoted-names.ts'
import { valueToJson } from '../../kernel/values/value-json.ts'
import type { Column, ColumnType, Value } from '../../kernel/values/value-type.ts'
import { sameType } from '../../kernel/values/value-type.ts'
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
export async function planColumns(question: ColumnQuestion): Promise<ColumnPlan> {
  const { model, evaluated, rows, label, output, by: asked, signal } = question
  const file = await openTabularFile(rows.files[0] ?? '')
  for (const each of evaluated) requireFeatures(each, file)
  if (!hasColumn(file, label)) throw noColumn(file, label, 'the label')
  const by = asked.map((text) => parseSplit(text, model.operational.slices))
  const time = rows.time ?? onlyTime(file)
  if (time !== null && !hasColumn(file, time)) throw noColumn(file, time, 'the time')
  requireSplits(by, file, time)

  const labelType = await labelTypeOf(file, label, output)
  const layout = layOut(file, { evaluated, label: { name: label, type: labelType }, time, by })
  const first = await readFirst(file, layout, evaluated[0] as EvaluatedModel, signal)
  const lacksKeys = evaluated.some(({ name, service }) => inputsOf(layout, name).keys.length === 0 && service.keys.length > 0)
  let seen = 0
  return {
    columns: layout.columns,
    labelType,
    by,
    first,
    notes: lacksKeys ? ['The rows lack a key column of the service, so intervals take all rows for independent.'] : [],
    read(batch) {
      const found = readBatch(layout, batch, seen)
      seen += batch.rows
      return found
    },
  }
}

/** Which columns are read, and where a batch has each: its index among them. */
interface Layout {
  readonly columns: readonly Column[]
  readonly label: number
  /** null: the rows have no time. */
  readonly time: number | null
  /** The columns that figures are split by. */
  readonly splits: readonly { readonly name: string; readonly at: number }[]
  /** By the name of a version. */
  readonly inputs: ReadonlyMap<string, Inputs>
}

interface Inputs {
  /** By index of the service's features; null: neither the model takes it, nor must it have a value. */
  readonly features: readonly (number | null)[]
  /** Empty: the file lacks a key. */
  readonly keys: readonly number[]
  /** The indexes of required features. */
  readonly required: readonly number[]
}

interface LaidOut {
  readonly evaluated: readonly EvaluatedModel[]
  readonly label: Column
  readonly time: string | null
  readonly by: readonly SplitBy[]
}

/** Gives each column an index. A column that is read as two types has two. */
function layOut(file: TabularFile, { evaluated, label, time, by }: LaidOut): Layout {
  const columns: Column[] = []
  const at = ({ name, type }: Column): number => {
    const found = columns.findIndex((column) => column.name === name && sameType(column.type, type))
    return found >= 0 ? found : columns.push({ name, type }) - 1
  }
  const typeOf = typesIn(evaluated, file)
  return {
    columns,
    label: at(label),
    time: time === null ? null : at({ name: time, type: { kind: 'timestamp' } }),
    splits: by.flatMap((split) => {
      if (split.kind !== 'column') return []
      const name = split.slice.column
      return [{ name, at: at({ name, type: typeOf(name) }) }]
    }),
    inputs: new Map(evaluated.map((each) => [each.name, layOutInputs(file, each, at)])),
  }
}

function layOutInputs(file: TabularFile, { service, binding }: EvaluatedModel, at: (column: Column) => number): Inputs {
  const taken = new Set(binding.inputs.flatMap((input) => input.columns.map(({ feature }) => feature)))
  const features = service.features.map(({ name, type, required }, index) => {
    const isRead = taken.has(index) || (required && hasColumn(file, name))
    return isRead && isColumn(type) ? at({ name, type }) : null
  })
  const keys = service.keys.every(({ name }) => hasColumn(file, name)) ? service.keys.map(at) : []
  return { features, keys, required: service.features.flatMap(({ required }, index) => (required ? [index] : [])) }
}

function inputsOf({ inputs }: Layout, version: string): Inputs {
  return inputs.get(version) as Inputs // each version has them
}

/** @param before how many rows came before this batch */
function readBatch(layout: Layout, batch: TypedBatch, before: number): ReadBatch {
  // versions of one service have the same keys
  const known = new Map<string, readonly OutcomeOfPrediction[]>()
  return {
    rowsOf({ name }) {
      const { keys } = inputsOf(layout, name)
      const found = known.get(keys.join()) ?? rowsBy(keys, layout, batch, before)
      known.set(keys.join(), found)
      return found
    },
    featuresOf({ name, service }) {
      const { features, required } = inputsOf(layout, name)
      const nothing = new Array<null>(batch.rows).fill(null)
      const values = features.map((at) => (at === null ? nothing : (batch.columns[at] ?? nothing)))
      const needed = required.filter((f) => features[f] !== null)
      const missing = nothing.map((_, row) =>
        needed.flatMap((f) => ((values[f]?.[row] ?? null) === null ? [service.features[f]?.name ?? ''] : [])),
      )
      return { values, missing, length: batch.rows }
    },
  }
}

/** The rows of a batch without outputs, with entities by these key columns. */
function rowsBy(
  keys: readonly number[],
  { columns, label, time, splits }: Layout,
  batch: TypedBatch,
  before: number,
): readonly OutcomeOfPrediction[] {
  const json = (at: number, row: number) => valueToJson((columns[at] as Column).type, batch.columns[at]?.[row] ?? null)
  const keyOf = (row: number): string => JSON.stringify(Object.fromEntries(keys.map((at) => [columns[at]?.name, json(at, row)])))
  return Array.from({ length: batch.rows }, (_, row) => ({
    at: time === null ? Number.NaN : ((batch.columns[time]?.[row] as number | null | undefined) ?? Number.NaN),
    version: 0,
    role: 'champion',
    // as the log of predictions has keys
    entity: hashText(keys.length === 0 ? `row ${before + row}` : keyOf(row)),
    output: null,
    columns: Object.fromEntries(splits.map(({ name, at }) => [name, json(at, row)])),
    outcome: batch.columns[label]?.[row] ?? null,
    amounts: [],
    matched: true,
    mature: true,
  }))
}

/** The first rows: enough of them, and of them enough with labels. */
async function readFirst(
  file: TabularFile,
  layout: Layout,
  version: EvaluatedModel,
  signal: AbortSignal | undefined,
): Promise<OutcomeOfPrediction[]> {
  const first: OutcomeOfPrediction[] = []
  let labels = 0
  for await (const batch of typedBatches(file, layout.columns, firstRows)) {
    signal?.throwIfAborted()
    const found = readBatch(layout, batch, 0).rowsOf(version)
    labels += found.filter(({ outcome }) => outcome !== null).length
    first.push(...found)
    if (first.length >= maxFirstRows || (first.length >= firstRows && labels >= firstLabels)) break
  }
  return first
}

function isColumn(type: { readonly kind: string }): type is ColumnType {
  return type.kind !== 'list' && type.kind !== 'counts'
}

/** @throws LockstepError `COLUMNS_MISMATCH` */
function requireFeatures({ name, service, binding }: EvaluatedModel, file: TabularFile): void {
  const taken = new Set(binding.inputs.flatMap((input) => input.columns.map((column) => column.name)))
  const missing = [...taken].filter((feature) => !hasColumn(file, feature))
  if (missing.length === 0) return
  throw new LockstepError(
    'COLUMNS_MISMATCH',
    `${name} takes ${quotedNames(missing)}, which "${file.path}" does not have. Evaluate it on a training set of "${service.id}".`,
    { details: { path: file.path, missing, service: service.id } },
  )
}

/** @throws LockstepError `INVALID_REQUEST`, `COLUMNS_MISMATCH` */
function requireSplits(by: readonly SplitBy[], file: TabularFile, time: string | null): void {
  for (const split of by) {
    if (split.kind === 'column') {
      const { column } = split.slice
      if (!hasColumn(file, column)) throw noColumn(file, column, 'a split of the figures')
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

function hasColumn({ columns }: TabularFile, name: string): boolean {
  return columns.some((column) => column.name === name)
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
