/** The rejection of a promise that runs beside the test; null where there is none. It never rejects itself. */
export function failureOf(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => null,
    (error: unknown) => error,
  )
}
