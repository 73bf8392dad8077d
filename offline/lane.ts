import type { EntityKey } from '../kernel/values/entity-key.ts'
import { namingKey } from '../kernel/values/show-key.ts'
import type { EntityState, FoldRow, Tie, ViewValues } from '../kernel/states/state.ts'
import type { TimeRule, ViewPlan } from '../kernel/view-plan.ts'
import type { MergeOptions } from './lookup.ts'
import type { SourceRow } from './rows/row-decoder.ts'

/** One view of a stream during a merge, for the current entity. */
export class Lane {
  readonly #plan: ViewPlan
  readonly #project: (values: SourceRow['values']) => SourceRow['values']
  readonly #rule: TimeRule
  readonly #strict: boolean
  readonly #empty: EntityState
  #state: EntityState | null = null
  #answer: ViewValues | undefined = undefined
  /** Rows that are not visible to the view yet (its schedule runs later), in the order in which they become visible. */
  #waiting: FoldRow[] = []
  #next = 0

  constructor(plan: ViewPlan, project: (values: SourceRow['values']) => SourceRow['values'], options: MergeOptions) {
    this.#plan = plan
    this.#project = project
    this.#rule = options.rule
    this.#strict = options.bound === 'before'
    this.#empty = plan.newState()
  }

  begin(): void {
    this.#state = null
    if (this.#waiting.length > 0) {
      this.#waiting = []
      this.#next = 0
    }
  }

  take(key: EntityKey, eventTime: number, knownTime: number | null, tie: Tie, values: SourceRow['values'], time: number): void {
    const folded = this.#fold(key, eventTime, knownTime, tie, values)
    if (folded === null) return
    if (this.#sees(folded, time)) this.#add(folded, time)
    else this.#waiting.push(folded)
  }

  #fold(key: EntityKey, eventTime: number, knownTime: number | null, tie: Tie, values: SourceRow['values']): FoldRow | null {
    try {
      return this.#plan.fold(eventTime, knownTime, tie, this.#project(values), this.#rule)
    } catch (error) {
      throw namingKey(this.#plan.key, key, error)
    }
  }

  valueAt(time: number): ViewValues {
    if (this.#next < this.#waiting.length) this.#admit(time)
    this.#answer = (this.#state ?? this.#empty).valueAt(time, this.#answer)
    return this.#answer
  }

  #admit(time: number): void {
    while (this.#next < this.#waiting.length) {
      const row = this.#waiting[this.#next] as FoldRow
      if (!this.#sees(row, time)) break
      this.#add(row, time)
      this.#next++
    }
    if (this.#next > 1_000 && this.#next * 2 > this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#next)
      this.#next = 0
    }
  }

  #sees(row: FoldRow, time: number): boolean {
    return this.#strict ? row.visibleAt < time : row.visibleAt <= time
  }

  #add(row: FoldRow, time: number): void {
    this.#state ??= this.#plan.newState()
    this.#state.add(row, time)
  }
}
