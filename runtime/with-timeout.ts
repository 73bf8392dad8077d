/** What `work` comes to, unless it takes longer than `ms`: then it rejects with `late()`, while the work itself goes on unwatched. */
export function within<T>(ms: number, work: Promise<T>, late: () => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(late()), ms)
    const inTime =
      <Outcome>(settle: (outcome: Outcome) => void) =>
      (outcome: Outcome): void => {
        clearTimeout(timer)
        settle(outcome)
      }
    work.then(inTime(resolve), inTime(reject))
  })
}
