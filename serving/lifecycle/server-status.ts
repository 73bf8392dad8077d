export interface Readiness {
  readonly ready: boolean
  /** Why it is not ready. */
  readonly reasons: readonly string[]
  /** What is amiss while requests can be answered all the same. */
  readonly warnings: readonly string[]
  /** The parts that the reasons, and the warnings, are about: names that tell nothing of this installation. */
  readonly failing: readonly string[]
  readonly degraded: readonly string[]
}

/** What a server says of the port that it answers: of itself, or, where several processes share the port, of all. */
export interface ServerStatus {
  readiness(): Promise<Readiness>
  /** As Prometheus reads them. */
  metrics(): Promise<string>
}
