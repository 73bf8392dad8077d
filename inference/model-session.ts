import type { ModelMetadata } from './check-feeds.ts'
import type { Tensors } from './tensor-value.ts'

/** A loaded model, inline or in a subprocess. */
export interface ModelSession {
  readonly metadata: ModelMetadata
  /**
   * Runs checked tensors once. Do not change their data until the promise has settled.
   *
   * @param timeoutMs the time limit of a run in a subprocess. Default: the model's `timeout`
   * @throws LockstepError `MODEL_FAILED` with ONNX Runtime's message; `MODEL_TIMEOUT` and `MODEL_UNAVAILABLE`, with
   *   `endedIn` in the details if this run ended the process
   */
  run(feeds: Tensors, fetches: readonly string[], timeoutMs?: number): Promise<RunResult>
  /** Call once, when no run is in progress. */
  release(): Promise<void>
}

export interface RunResult {
  readonly tensors: Tensors
  /** The time of the run itself, without waiting. */
  readonly ms: number
}
