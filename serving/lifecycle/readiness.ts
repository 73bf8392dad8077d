import type { Readiness } from './server-status.ts'

/** What readiness is about, by the names that `GET /readyz` gives to everybody. */
export type Part =
  | 'server'
  | 'database'
  | 'online store'
  | 'views'
  | 'registry'
  | 'keys'
  | 'models'
  | 'transforms'
  | 'certificate'
  | 'workers'

export interface Finding {
  readonly part: Part
  /** It may name hosts, views and models: for the operator. */
  readonly text: string
}

/** Findings about a part. */
export function about(part: Part, texts: readonly string[]): Finding[] {
  return texts.map((text) => ({ part, text }))
}

/** @param reasons why requests cannot be answered @param warnings what is amiss all the same */
export function readinessOf(reasons: readonly Finding[], warnings: readonly Finding[]): Readiness {
  return {
    ready: reasons.length === 0,
    reasons: textsOf(reasons),
    warnings: textsOf(warnings),
    failing: partsOf(reasons),
    degraded: partsOf(warnings),
  }
}

/** What is about two parts, as a late view is about views and workers, is said once. */
function textsOf(findings: readonly Finding[]): string[] {
  return [...new Set(findings.map(({ text }) => text))]
}

function partsOf(findings: readonly Finding[]): Part[] {
  return [...new Set(findings.map(({ part }) => part))]
}
