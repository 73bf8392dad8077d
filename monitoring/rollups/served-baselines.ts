import { messageOf } from '../../kernel/errors.ts'
import type { Logger } from '../../runtime/log.ts'
import type { BaselineBins } from './row-recorder.ts'

/** How long a baseline is used before a request reads it again: a version may get one after it began to serve. */
const keptMs = 60_000
const maxVersions = 1000

/**
 * The baselines of the versions that a process serves. They are read in the background, so the first rows of a version
 * have no bins. A baseline stays the same object until its bins change.
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
      (baseline) => (entry.baseline = haveSameBins(entry.baseline, baseline) ? entry.baseline : baseline),
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

function haveSameBins(one: BaselineBins | null, other: BaselineBins | null): boolean {
  if (one === null || other === null) return one === other
  if (one.columns.size !== other.columns.size) return false
  for (const [name, { binsId }] of one.columns) if (other.columns.get(name)?.binsId !== binsId) return false
  return true
}
