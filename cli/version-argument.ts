import { LockstepError } from '../kernel/errors.ts'
import type { VersionReference } from '../registry/models/pick-version.ts'
import { parseModelReference } from '../registry/models/pick-version.ts'
import type { Input } from './input.ts'

/**
 * The model and the version that the argument MODEL@VERSION names.
 *
 * @param use for the error: "to roll out"
 * @throws LockstepError `USAGE` where it names no version
 */
export function versionArgument(input: Input, use: string): { readonly model: string; readonly version: VersionReference } {
  const reference = input.argument('MODEL@VERSION')
  const { model, version } = parseModelReference(reference)
  if (version !== undefined) return { model, version }
  throw new LockstepError('USAGE', `"${reference}" does not name a version; say which one ${use}, such as "${model}@3".`)
}
