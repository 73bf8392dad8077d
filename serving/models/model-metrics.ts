import type { Registry } from 'prom-client'
import { Gauge } from 'prom-client'
import type { SelectedVersions } from './select-versions.ts'

export interface ModelMetrics {
  /** Sets the versions that answer and those that do not load, in place of the previous ones. */
  versions(chosen: SelectedVersions): void
}

export function createModelMetrics(registry: Registry): ModelMetrics {
  const registers = [registry]
  const answering = new Gauge({
    name: 'lockstep_model_version',
    help: 'The model version that answers requests which name no version.',
    labelNames: ['model'],
    aggregator: 'max',
    registers,
  })
  const failed = new Gauge({
    name: 'lockstep_model_version_failed',
    help: '1 for a version that should be served, or that an alias points to, and does not load.',
    labelNames: ['model', 'version'],
    aggregator: 'max',
    registers,
  })
  return {
    versions(chosen) {
      answering.reset()
      for (const [model, { version }] of chosen.answering) answering.set({ model }, version)
      failed.reset()
      for (const { model, version } of chosen.failed) failed.set({ model, version: String(version) }, 1)
    },
  }
}
