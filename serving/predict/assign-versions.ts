import type { ServedAs } from '../../monitoring/role.ts'
import type { VersionReference } from '../../registry/pick-version.ts'

/** Rows of a request that one version of the model serves. */
export interface VersionAssignment extends ServedAs {
  /** undefined: the version that serves requests by default. */
  readonly version: VersionReference | undefined
  /** Indexes of the rows in the request, ascending. */
  readonly rows: readonly number[]
}

/**
 * Which version serves which rows of a request: every row has exactly one. All rows have the version that the request
 * names.
 */
export function assignVersions(request: {
  readonly version?: VersionReference | undefined
  readonly entities: readonly unknown[]
}): readonly VersionAssignment[] {
  const rows = new Array<number>(request.entities.length)
  for (let row = 0; row < rows.length; row++) rows[row] = row
  return [
    { version: request.version, rows, role: request.version === undefined ? 'champion' : 'requested', experiment: null, variant: null },
  ]
}
