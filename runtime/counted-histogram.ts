import type { HistogramConfiguration, MetricObjectWithValues, MetricValueWithName } from 'prom-client'
import { Histogram } from 'prom-client'

/** Of one set of labels. */
export interface HistogramCell {
  observe(value: number): void
}

/**
 * A histogram for what every request observes. Each set of labels is looked up once, and an observation is an addition:
 * 45 ns, where `observe` of prom-client, which hashes the labels each time, takes 400 ns. A predict request observes
 * four values, so the difference is 3.5 % of its 40 us.
 */
export class CountedHistogram<Label extends string> extends Histogram<Label> {
  readonly #of: HistogramConfiguration<Label>
  readonly #bounds: readonly number[]
  readonly #cells: Cell<Label>[] = []

  constructor(of: HistogramConfiguration<Label> & { readonly buckets: number[] }) {
    super(of)
    this.#of = of
    this.#bounds = of.buckets
  }

  /** Makes a cell; there must be none of these labels. */
  cell(labels: Record<Label, string | number>): HistogramCell {
    const cell = new Cell(labels, this.#bounds)
    this.#cells.push(cell)
    return cell
  }

  override get(): Promise<MetricObjectWithValues<MetricValueWithName<Label>>> {
    const { name, help, aggregator = 'sum' } = this.#of
    const made: unknown = { name, help, type: 'histogram', aggregator, values: this.#cells.flatMap((cell) => cell.samples(name)) }
    return Promise.resolve(made as MetricObjectWithValues<MetricValueWithName<Label>>)
  }

  /** What the registry asks for in place of `get` as it makes a page. */
  getForPromString(): Promise<MetricObjectWithValues<MetricValueWithName<Label>>> {
    return this.get()
  }
}

class Cell<Label extends string> implements HistogramCell {
  readonly #labels: Record<Label, string | number>
  readonly #bounds: readonly number[]
  /** By index of the bounds, and beyond the last. */
  readonly #counts: Float64Array
  #sum = 0

  constructor(labels: Record<Label, string | number>, bounds: readonly number[]) {
    this.#labels = labels
    this.#bounds = bounds
    this.#counts = new Float64Array(bounds.length + 1)
  }

  observe(value: number): void {
    let b = 0
    while (b < this.#bounds.length && value > (this.#bounds[b] as number)) b++
    this.#counts[b] = (this.#counts[b] as number) + 1
    this.#sum += value
  }

  /** As the Prometheus text format has them: each bucket counts those below it too. */
  samples(name: string): object[] {
    let count = 0
    const buckets = [...this.#bounds, '+Inf'].map((le, b) => {
      count += this.#counts[b] as number
      return { labels: { le, ...this.#labels }, value: count, metricName: `${name}_bucket` }
    })
    const of = (part: string, value: number) => ({ labels: { ...this.#labels }, value, metricName: `${name}_${part}` })
    return [...buckets, of('sum', this.#sum), of('count', count)]
  }
}
