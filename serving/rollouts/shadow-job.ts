import type { FeatureRead } from '../features/read-features.ts'
import type { ServedModel } from '../models/load-version.ts'

/** An answered request, of which a share also runs in shadow. */
export interface AnsweredRequest {
  readonly model: string
  /** The version that the request names; undefined: none. */
  readonly version?: number | string | undefined
  readonly entities: readonly unknown[]
  readonly caller: { readonly requestId: string; readonly predictionBase: string; readonly apiKey: string | null }
}

export interface AnsweredRows {
  readonly model: ServedModel
  /** Indexes in the request. */
  readonly rows: readonly number[]
  readonly read: FeatureRead
}

/** Rows of one request and one version that wait to run in shadow. */
export interface ShadowJob {
  /** The id of the shadow that took the rows. */
  readonly shadow: number
  readonly version: number
  readonly request: AnsweredRequest
  readonly answered: AnsweredRows
  /** Indexes in `answered.rows`. */
  readonly taken: readonly number[]
  /** By `performance.now()`. */
  readonly sinceMs: number
}
