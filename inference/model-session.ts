import type { ModelMetadata } from './check-feeds.ts'
import type { Tensors } from './tensor-value.ts'

/** A model that is loaded, wherever it runs. */
export interface ModelSession {
  readonly metadata: ModelMetadata
  /**
   * One run of tensors that have been checked. Their data must not be touched until the promise has settled.
   *
   * @param timeoutMs how long it may take where it is in a process of its own. Default: the model's `timeout`
   * @throws LockstepError `MODEL_FAILED` with what the runtime said; `MODEL_TIMEOUT` and `MODEL_UNAVAILABLE`, with
   *   `endedIn` in the details where this run ended the process
   */
  run(feeds: Tensors, fetches: readonly string[], timeoutMs?: number): Promise<RunResult>
  /** To be called once, with no run under way. */
  release(): Promise<void>
}

export interface RunResult {
  readonly tensors: Tensors
  /** How long the run itself took. */
  readonly ms: number
}
