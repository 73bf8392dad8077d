import type { ColumnKey } from '../../kernel/column-keys.ts'
import { columnKeys } from '../../kernel/column-keys.ts'
import { hashText53 } from '../../kernel/values/hash-text.ts'
import type { ServedEntity, ServicePlan, ServiceRow } from '../../kernel/service-plan.ts'
import { Status, statusNames } from '../../kernel/states/state.ts'
import type { Column, Value, ValueType } from '../../kernel/values/value-type.ts'
import type { ColumnBins } from '../../statistics/column-bins.ts'
import { outputColumn } from '../baselines/baseline.ts'
import { comparedType, comparedValue } from '../compared-output.ts'
import type { BinnedColumn } from './bin-layout.ts'
import { layoutOf } from './bin-layout.ts'
import { BinnedRows } from './binned-rows.ts'
import { ColumnSummary } from './column-summary.ts'
import type { ForgottenEntity } from './columns-summary.ts'
import { ColumnsSummary } from './columns-summary.ts'
import { ValueBins } from './value-bins.ts'

/** The bins of the columns of a baseline, which rollups count over. */
export interface BaselineBins {
  /** By feature; `output:NAME` for an output. */
  readonly columns: ReadonlyMap<string, { readonly bins: ColumnBins; /** Equal bins have equal ids. */ readonly binsId: string }>
}

/** The features and outputs of a model version. */
export interface RecordedVersion {
  readonly service: ServicePlan
  readonly outputs: readonly Column[]
}

interface RecordedColumn {
  readonly summary: ColumnSummary
  readonly kind: 'number' | 'boolean' | 'text' | 'other'
  /** null: there is no baseline for it. */
  readonly bins: ValueBins | null
  /** That of its key. */
  readonly rowBins: Int32Array
  /** Index in `rowBins`. */
  readonly place: number
  /** Index of its first bin. */
  readonly from: number
}

interface RecordedKey extends ColumnKey {
  /** Of the columns with this key that have bins: the bin of each in the present row, among all bins of the key. */
  readonly rowBins: Int32Array
}

/**
 * Takes the rows that a model version answers into a summary. Statuses are counted of all rows, values are taken of the
 * rows that `take` gets. Numbers are read straight from the packed states, as for the model.
 */
export class RowRecorder {
  readonly #service: ServicePlan
  readonly #outputs: readonly Column[]
  readonly #baseline: BaselineBins | null
  readonly #summary: ColumnsSummary
  readonly #features: readonly RecordedColumn[]
  readonly #predicted: readonly RecordedColumn[]
  readonly #floatColumns: readonly { readonly feature: number; readonly offset: number; readonly width: 1 }[]
  readonly #floats: Float64Array
  /** Features whose values are not numbers. */
  readonly #others: readonly number[]
  readonly #lacking: Float64Array
  readonly #keys: readonly RecordedKey[]
  #rows = 0

  constructor({ service, outputs }: RecordedVersion, baseline: BaselineBins | null) {
    this.#service = service
    this.#outputs = outputs
    this.#baseline = baseline
    const { list, ofFeature } = columnKeys(service)
    const keys = list.map((key, k) => {
      const features = service.features.flatMap(({ name }, f) => (ofFeature[f] === k ? [name] : []))
      const names = k === 0 ? [...features, ...outputs.map(({ name }) => outputColumn(name))] : features
      const layout = layoutOf(names.map((name) => binnedColumn(name, baseline)))
      const binned = layout.columns.filter(({ bins }) => bins > 0)
      return { ...key, layout, binned, rowBins: new Int32Array(binned.length) }
    })
    this.#keys = keys
    const columns = new Map<string, ColumnSummary>()
    const column = (name: string, type: ValueType, key = 0): RecordedColumn => {
      const summary = new ColumnSummary()
      columns.set(name, summary)
      const { binned, rowBins } = keys[key] as (typeof keys)[number]
      const place = binned.findIndex((each) => each.column === name)
      const bins = baseline?.columns.get(name)?.bins
      const kind = kindOf(type)
      return {
        summary,
        kind,
        bins: bins === undefined ? null : new ValueBins(bins, kind === 'boolean'),
        rowBins,
        place,
        from: binned[place]?.from ?? 0,
      }
    }
    this.#features = service.features.map(({ name, type }, f) => column(name, type, ofFeature[f]))
    this.#predicted = outputs.map(({ name, type }) => column(outputColumn(name), comparedType(type)))
    this.#summary = new ColumnsSummary(columns, new Map(keys.map(({ name, layout }) => [name, new BinnedRows(layout)])))
    const indexes = [...service.features.keys()]
    const isNumber = (feature: number) => isNumeric(this.#features[feature] as RecordedColumn)
    this.#floatColumns = indexes.filter(isNumber).map((feature, offset) => ({ feature, offset, width: 1 }))
    this.#floats = new Float64Array(this.#floatColumns.length)
    this.#others = indexes.filter((feature) => !isNumber(feature))
    this.#lacking = new Float64Array(service.features.length * statusNames.length)
  }

  /** Counts the statuses of rows. */
  count(rows: readonly Pick<ServiceRow, 'countLacking'>[]): void {
    this.#rows += rows.length
    for (let i = 0; i < rows.length; i++) (rows[i] as (typeof rows)[number]).countLacking(this.#lacking)
  }

  /** Takes the values of a row. */
  take(entity: ServedEntity, row: Pick<ServiceRow, 'fill' | 'values'>, prediction: readonly Value[]): void {
    const floats = this.#floats
    row.fill(floats, 0, this.#floatColumns)
    for (let i = 0; i < floats.length; i++) {
      const { feature } = this.#floatColumns[i] as { feature: number }
      const x = floats[i] as number
      // NaN stands for null, too
      if (x !== x && row.values[feature] === null) this.#addNull(this.#features[feature] as RecordedColumn)
      else this.#addNumber(this.#features[feature] as RecordedColumn, x)
    }
    for (let i = 0; i < this.#others.length; i++) {
      const feature = this.#others[i] as number
      this.#addValue(this.#features[feature] as RecordedColumn, row.values[feature] ?? null)
    }
    for (let o = 0; o < this.#predicted.length; o++)
      this.#addValue(this.#predicted[o] as RecordedColumn, comparedValue(prediction[o] ?? null))
    for (let k = 0; k < this.#keys.length; k++) {
      const { name, use, rowBins } = this.#keys[k] as RecordedKey
      this.#summary.addBins(name, hashText53(entityOf(entity, use)), rowBins)
    }
  }

  /** The summary of all rows so far. Do not use the recorder afterwards. */
  summary(): ColumnsSummary {
    for (const [f, { summary }] of this.#features.entries()) {
      let present = this.#rows
      for (let status = 0; status < statusNames.length; status++) {
        const count = this.#lacking[f * statusNames.length + status] as number
        summary.statuses[status] = count
        present -= count
      }
      summary.statuses[Status.present] = present
    }
    for (const { summary } of this.#predicted) summary.statuses[Status.present] = this.#rows
    return this.#summary
  }

  forget(erased: ForgottenEntity): void {
    this.#summary.forget(erased)
  }

  /** Whether it records the rows of this version, over the bins of this baseline. */
  isOf({ service, outputs }: RecordedVersion, baseline: BaselineBins | null): boolean {
    return service === this.#service && outputs === this.#outputs && baseline === this.#baseline
  }

  #addNull({ summary, bins, rowBins, place, from }: RecordedColumn): void {
    summary.addNull()
    if (bins !== null) rowBins[place] = from + bins.ofNull()
  }

  #addNumber({ summary, kind, bins, rowBins, place, from }: RecordedColumn, x: number): void {
    if (kind === 'boolean') summary.addBoolean(x === 1)
    else summary.addNumber(x)
    if (bins !== null) rowBins[place] = from + bins.ofNumber(x)
  }

  #addValue(column: RecordedColumn, value: Value | null): void {
    if (value === null) return this.#addNull(column)
    if (isNumeric(column)) return this.#addNumber(column, Number(value))
    const { summary, bins, rowBins, place, from } = column
    if (typeof value === 'string') summary.addText(value)
    else summary.addOther()
    if (bins !== null) rowBins[place] = from + (typeof value === 'string' ? bins.ofText(value) : bins.ofOther())
  }
}

/** The key of a read; of a service without entities, what the request says. */
function entityOf({ keys, request }: ServedEntity, use: number): string {
  return keys[use] ?? request.map(String).join('\0')
}

function binnedColumn(name: string, baseline: BaselineBins | null): BinnedColumn {
  const found = baseline?.columns.get(name)
  if (found === undefined) return { column: name, binsId: '', bins: 0 }
  return { column: name, binsId: found.binsId, bins: new ValueBins(found.bins, false).count }
}

function kindOf({ kind }: ValueType): RecordedColumn['kind'] {
  if (kind === 'bool') return 'boolean'
  if (kind === 'string') return 'text'
  return kind === 'vector' || kind === 'list' || kind === 'counts' ? 'other' : 'number'
}

function isNumeric({ kind }: RecordedColumn): boolean {
  return kind === 'number' || kind === 'boolean'
}
