import type { Readiness } from '../../runtime/workers/messages.ts'

/** The status behind a port: of one process, or of all where several share the port. */
export interface ServerStatus {
  readiness(): Promise<Readiness>
  /** As Prometheus reads them. */
  metrics(): Promise<string>
}
