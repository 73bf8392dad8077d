export interface Readiness {
  readonly ready: boolean
  /** Why it is not ready. */
  readonly reasons: readonly string[]
  /** Problems that do not keep it from answering. */
  readonly warnings: readonly string[]
  /** The parts that the reasons, and the warnings, are about: names that reveal nothing about this installation. */
  readonly failing: readonly string[]
  readonly degraded: readonly string[]
}

/** The status behind a port: of one process, or of all where several share the port. */
export interface ServerStatus {
  readiness(): Promise<Readiness>
  /** As Prometheus reads them. */
  metrics(): Promise<string>
}
