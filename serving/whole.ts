export interface Readiness {
  readonly ready: boolean
  /** Why it is not ready. */
  readonly reasons: readonly string[]
  /** What is amiss while requests can be answered all the same. */
  readonly warnings: readonly string[]
}

/** What a server says of the port that it answers: of itself, or, where several processes share the port, of all. */
export interface Whole {
  readiness(): Promise<Readiness>
  /** As Prometheus reads them. */
  metrics(): Promise<string>
}
