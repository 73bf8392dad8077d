/** What a promise that runs beside the test rejects with; null where it does not. It never rejects itself. */
export function failureOf(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => null,
    (error: unknown) => error,
  )
}
