import type { Prediction } from '../../inference/load-model.ts'
import type { ServedEntity, ServicePlan, ServiceValues } from '../../kernel/service-plan.ts'
import type { Column } from '../../kernel/values/value-type.ts'
import type { ServedAs } from '../role.ts'
import type { LoggedTimes } from './logged-times.ts'
import type { ReadOrigin } from './provenance.ts'

/** The features that predictions were made from, as the log keeps them. */
export interface LoggedRead {
  readonly entities: readonly ServedEntity[]
  /** By index of the entities. */
  readonly rows: readonly ServiceValues[]
  /** Epoch microseconds. */
  readonly asOf: number
  /** Whether the online store could not answer for some views. */
  readonly degraded: boolean
  /** Whether this machine's clock was behind the stored data. */
  readonly skewed: boolean
  /** By entity, and for each by index of the service's `uses`. */
  origins(): ReadOrigin[][]
}

/** An answered request. It must not be changed afterwards. */
export interface NotedPredictions extends ServedAs {
  readonly requestId: string
  /** Unique in the log. The id of each row is `<predictionBase>/<its index in the request>`. */
  readonly predictionBase: string
  readonly model: string
  readonly version: number
  readonly service: ServicePlan
  /** The columns of `predictions`. */
  readonly outputs: readonly Column[]
  readonly read: LoggedRead
  /** The index in the request of each entity of `read`. */
  readonly rows: readonly number[]
  /** By index of the entities. */
  readonly predictions: readonly Prediction[]
  /** When the request arrived, by `performance.now()`. */
  readonly startedMs: number
  /** Absent: not measured. */
  readonly times?: LoggedTimes
  /** The id of the request's API key; null: it had none. */
  readonly apiKey: string | null
}
