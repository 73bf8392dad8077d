/** A long computation that pauses after each short step, so that a process can do other work in between. */
export type Steps<T> = Generator<undefined, T>

/** The rows of a step of most computations. */
export const rowsOfStep = 32_768

/** Does all steps at once. */
export function runSteps<T>(steps: Steps<T>): T {
  for (;;) {
    const { done, value } = steps.next()
    if (done === true) return value
  }
}

/** Calls `work` with one part of `n` rows after the other. */
export function* inParts(n: number, work: (from: number, to: number) => void): Steps<void> {
  for (let from = 0; from < n; from += rowsOfStep) {
    work(from, Math.min(n, from + rowsOfStep))
    yield
  }
}
