import { createHash } from 'node:crypto'
import type { QueryConfig } from 'pg'

/**
 * A query for pg in the extended protocol, which refuses several statements in one text; the simple one, which pg takes
 * without parameters, runs them all.
 */
export function oneStatement(text: string, values: readonly unknown[] = []): QueryConfig {
  const config = { text, values: [...values], queryMode: 'extended' } // which pg knows and its types do not
  return config
}

/** The same, kept by the connection under a name of its text. */
export function preparedStatement(text: string, values: readonly unknown[]): QueryConfig {
  let name = names.get(text)
  if (name === undefined) names.set(text, (name = createHash('sha256').update(text).digest('hex').slice(0, 32)))
  return { ...oneStatement(text, values), name }
}

const names = new Map<string, string>()
