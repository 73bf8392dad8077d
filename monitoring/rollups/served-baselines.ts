import { messageOf } from '../../kernel/errors.ts'
import type { Logger } from '../../runtime/log.ts'
import type { BaselineBins } from './row-recorder.ts'

/** How long a baseline is used before it is read again: a version may get one after it began to serve. */
const keptMs = 60_000
const maxVersions = 1000

/**
 * The baselines of the versions that a process serves. They are read in the background, so the rows of a version's
 * first minute have no bins.
 *
 * @param read null: the version has none
 */
export function createServedBaselines(
  read: (model: string, version: number) => Promise<BaselineBins | null>,
  log: Logger,
): (model: string, version: number) => BaselineBins | null {
  const known = new Map<string, { baseline: BaselineBins | null; readAt: number }>()

  function refresh(id: string, entry: { baseline: BaselineBins | null; readAt: number }, model: string, version: number): void {
    entry.readAt = performance.now()
    read(model, version).then(
      (baseline) => (entry.baseline = baseline),
      (error: unknown) => log.debug({ version: id, error: messageOf(error) }, 'a baseline cannot be read'),
    )
  }

  return (model, version) => {
    const id = `${model}@${version}`
    let entry = known.get(id)
    if (entry === undefined) {
      if (known.size >= maxVersions) known.clear()
      known.set(id, (entry = { baseline: null, readAt: Number.NEGATIVE_INFINITY }))
    }
    if (performance.now() - entry.readAt >= keptMs) refresh(id, entry, model, version)
    return entry.baseline
  }
}
