import type { ModelMetadata } from './check-feeds.ts'
import type { Tensors } from './tensor-value.ts'

/** A model that is loaded, wherever it runs. */
export interface ModelSession {
  readonly metadata: ModelMetadata
  /**
   * One run of tensors that have been checked. Their data must not be touched until the promise has settled.
   *
   * @throws LockstepError `MODEL_FAILED` with what the runtime said
   */
  run(feeds: Tensors, fetches: readonly string[]): Promise<RunResult>
  /** To be called once, with no run under way. */
  release(): Promise<void>
}

export interface RunResult {
  readonly tensors: Tensors
  /** How long the run itself took. */
  readonly ms: number
}
