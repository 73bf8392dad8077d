import type { QueryConfig } from 'pg'

/** A query for pg in the extended protocol, which refuses several statements in one text; the simple one, which pg takes without parameters, runs them all. */
export function oneStatement(text: string, values: readonly unknown[] = []): QueryConfig {
  const config = { text, values: [...values], queryMode: 'extended' } // which pg knows and its types do not
  return config
}
