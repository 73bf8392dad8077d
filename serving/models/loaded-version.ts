import type { ServedModel } from './model-host.ts'
import type { VersionMetrics } from './run-metrics.ts'

/** A model version that is loaded, or being loaded. */
export interface LoadedVersion {
  readonly loading: Promise<{ served: ServedModel; close: () => Promise<void> }>
  readonly model: string
  /** Since when it has been tried, by `now`; null: it has not loaded yet. */
  triedSince: number | null
  /** Once it is loaded and tried. */
  served: ServedModel | null
  readonly metrics: VersionMetrics
  users: number
  /** By `now`. */
  lastUsed: number
  /** The newest of the registry that it was asked for under. */
  revision: number
  /** Called when nobody uses it any more. */
  onUnused: (() => void) | null
}
