import { hashText53 } from '../../kernel/values/hash-text.ts'
import type { ServedEntity, ServicePlan, ServiceRow } from '../../kernel/service-plan.ts'
import { Status, statusNames } from '../../kernel/states/state.ts'
import type { Column, Value, ValueType } from '../../kernel/values/value-type.ts'
import type { ColumnBins } from '../../statistics/column-bins.ts'
import { outputColumn } from '../baselines/baseline.ts'
import { comparedType, comparedValue } from '../compared-output.ts'
import type { BinnedColumn } from './bin-layout.ts'
import { layoutOf, noBins } from './bin-layout.ts'
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
  /** Index among the columns of the layout. */
  readonly place: number
  /** Index of its first bin. */
  readonly from: number
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
  /** By column of the layout: its bin in the present row, among all bins. */
  readonly #bins: Int32Array
  #rows = 0

  constructor({ service, outputs }: RecordedVersion, baseline: BaselineBins | null) {
    this.#service = service
    this.#outputs = outputs
    this.#baseline = baseline
    const names = [...service.features.map(({ name }) => name), ...outputs.map(({ name }) => outputColumn(name))]
    const layout = baseline === null ? noBins : layoutOf(names.flatMap((name) => binnedColumn(name, baseline) ?? []))
    this.#bins = new Int32Array(layout.columns.length)
    const columns = new Map<string, ColumnSummary>()
    const column = (name: string, type: ValueType): RecordedColumn => {
      const summary = new ColumnSummary()
      columns.set(name, summary)
      const place = layout.columns.findIndex((each) => each.column === name)
      const bins = baseline?.columns.get(name)?.bins
      const kind = kindOf(type)
      return {
        summary,
        kind,
        bins: bins === undefined ? null : new ValueBins(bins, kind === 'boolean'),
        place,
        from: layout.columns[place]?.from ?? 0,
      }
    }
    this.#features = service.features.map(({ name, type }) => column(name, type))
    this.#predicted = outputs.map(({ name, type }) => column(outputColumn(name), comparedType(type)))
    this.#summary = new ColumnsSummary(columns, new BinnedRows(layout))
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
    this.#summary.binned.add(hashText53(entityOf(entity)), this.#bins)
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

  #addNull({ summary, bins, place, from }: RecordedColumn): void {
    summary.addNull()
    if (bins !== null) this.#bins[place] = from + bins.ofNull()
  }

  #addNumber({ summary, kind, bins, place, from }: RecordedColumn, x: number): void {
    if (kind === 'boolean') summary.addBoolean(x === 1)
    else summary.addNumber(x)
    if (bins !== null) this.#bins[place] = from + bins.ofNumber(x)
  }

  #addValue(column: RecordedColumn, value: Value | null): void {
    if (value === null) return this.#addNull(column)
    if (isNumeric(column)) return this.#addNumber(column, Number(value))
    const { summary, bins, place, from } = column
    if (typeof value === 'string') summary.addText(value)
    else summary.addOther()
    if (bins !== null) this.#bins[place] = from + (typeof value === 'string' ? bins.ofText(value) : bins.ofOther())
  }
}

/** The first entity of the service; of a service without entities, what the request says. */
function entityOf({ keys, request }: ServedEntity): string {
  return keys[0] ?? request.map(String).join('\0')
}

function binnedColumn(name: string, { columns }: BaselineBins): BinnedColumn | null {
  const found = columns.get(name)
  return found === undefined ? null : { column: name, binsId: found.binsId, bins: new ValueBins(found.bins, false).count }
}

function kindOf({ kind }: ValueType): RecordedColumn['kind'] {
  if (kind === 'bool') return 'boolean'
  if (kind === 'string') return 'text'
  return kind === 'vector' || kind === 'list' || kind === 'counts' ? 'other' : 'number'
}

function isNumeric({ kind }: RecordedColumn): boolean {
  return kind === 'number' || kind === 'boolean'
}
