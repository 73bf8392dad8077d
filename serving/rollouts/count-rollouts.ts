import type { RollupRecorder } from '../../monitoring/rollups/rollup-recorder.ts'
import type { RolloutCounts } from '../../monitoring/rollouts/rollout-counts.ts'

/** Also counts what is recorded in rollups for the rollouts that have a plan. */
export function countRollouts(rollups: RollupRecorder, counts: RolloutCounts): RollupRecorder {
  return {
    ...rollups,
    answered(group, predictions, times, cacheHits) {
      rollups.answered(group, predictions, times, cacheHits)
      const { model, version } = group.model.version
      // the time of a bypassed request is that of two versions, and says nothing about the champion
      if (group.bypassed !== undefined) counts.bypassed(model, group.bypassed, group.rows.length)
      else counts.answered(model, version, group.role, group.rows.length, times.ownMs ?? times.totalMs, group.place)
    },
    failed(model, version, role, error, isOfRows) {
      rollups.failed(model, version, role, error)
      if (isOfRows !== true) counts.failed(model, version, role, error)
    },
    // a gate sees the failure, though no request failed
    bypassed(model, version, role, error) {
      rollups.bypassed(model, version, role, error)
      counts.failed(model, version, role, error)
    },
    async flush() {
      await Promise.all([rollups.flush(), counts.flush()])
    },
    async close(ms) {
      await Promise.all([rollups.close(ms), counts.close()])
    },
  }
}
