/** The stages of a request, in their order. */
export const loggedStages = ['receive', 'features', 'evaluate', 'wait', 'run', 'encode'] as const

/** How long the stages of a request took, milliseconds. The log itself is written after the answer. */
export interface LoggedTimes {
  /** From the arrival on: match, admit, authorize, read and parse the body, choose versions. */
  readonly receiveMs: number
  /** Read the states and compute the values. */
  readonly featuresMs: number
  /** The part of the read that computes the values, with the on-demand code. */
  readonly evaluateMs: number
  /** Wait for a run of the model. */
  readonly waitMs: number
  readonly runMs: number
  /** Make the answer. */
  readonly encodeMs: number
}

/** The maximum of an int4. */
export const maxMicros = 2 ** 31 - 1

/** By index of `loggedStages`. */
export function stageMicros({ receiveMs, featuresMs, evaluateMs, waitMs, runMs, encodeMs }: LoggedTimes): number[] {
  return [receiveMs, featuresMs - evaluateMs, evaluateMs, waitMs, runMs, encodeMs].map((ms) =>
    Math.min(Math.max(0, Math.round(ms * 1000)), maxMicros),
  )
}
