import type { Readiness } from './messages.ts'

/**
 * Merges the readiness of several processes behind one port. A request may reach any listening process, so the port is
 * ready when all of them are. Processes that do not answer or are being replaced are reported as warnings.
 *
 * @param readiness of the listening processes; null: no answer in time
 * @param wanted how many there should be
 */
export function mergeReadiness(readiness: readonly (Readiness | null)[], wanted: number): Readiness {
  const known = readiness.filter((each) => each !== null)
  const all = (of: (each: Readiness) => readonly string[]): string[] => [...new Set(known.flatMap(of))]
  const merged = {
    reasons: all(({ reasons }) => reasons),
    warnings: all(({ warnings }) => warnings),
    failing: all(({ failing }) => failing),
    degraded: all(({ degraded }) => degraded),
  }
  const { reasons, warnings } = merged
  if (known.length === 0) reasons.push('No server process answers.')
  if (known.length < readiness.length)
    warnings.push(`${readiness.length - known.length} of ${wanted} server processes do not answer in time.`)
  if (readiness.length < wanted) warnings.push(`${wanted - readiness.length} of ${wanted} server processes are starting or being replaced.`)
  if (known.length === 0) merged.failing.push('processes')
  else if (known.length < wanted) merged.degraded.push('processes')
  return { ready: reasons.length === 0 && known.every(({ ready }) => ready), ...merged }
}
