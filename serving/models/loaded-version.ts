import type { Catalog, CatalogModel } from '../../registry/catalog.ts'
import type { ModelVersion } from '../../registry/models/model-versions.ts'
import type { LoadVersionDeps, OpenedVersion, ServedModel } from './load-version.ts'
import { loadVersion } from './load-version.ts'
import type { VersionMetrics } from './run-metrics.ts'

export interface LoadedVersionDeps extends Omit<LoadVersionDeps, 'onTrial'> {
  /** Milliseconds, for the times of trials and uses. */
  readonly now: () => number
}

/** A model version that is loaded, or being loaded, and who uses it. */
export class LoadedVersion {
  readonly model: string
  readonly metrics: VersionMetrics
  readonly loading: Promise<OpenedVersion>
  /** Once it is loaded and tried. */
  served: ServedModel | null = null
  /** The newest of the registry that it was asked for under. */
  revision: number
  readonly #now: () => number
  #triedSince: number | null = null
  #users = 0
  #lastUsed: number
  #onUnused: (() => void) | null = null

  constructor({ now, ...deps }: LoadedVersionDeps, catalog: Catalog, model: CatalogModel, version: ModelVersion) {
    this.model = model.name
    this.metrics = deps.metrics
    this.revision = catalog.revision
    this.#now = now
    this.#lastUsed = now()
    this.loading = loadVersion({ ...deps, onTrial: () => (this.#triedSince = now()) }, { catalog, model, version })
    this.loading.then(
      ({ served }) => (this.served = served),
      () => undefined,
    )
  }

  /** Keeps it open until `release`. */
  acquire(): void {
    this.#users++
  }

  release(): void {
    this.#users--
    this.#lastUsed = this.#now()
    if (this.#users === 0) this.#onUnused?.()
  }

  isUnusedFor(ms: number): boolean {
    return this.#users === 0 && this.#lastUsed <= this.#now() - ms
  }

  /** Whether its trial began that long ago and has not ended. */
  isInTrialFor(ms: number): boolean {
    return this.served === null && this.#triedSince !== null && this.#now() - this.#triedSince >= ms
  }

  /** Closes the model once nobody uses it. What has failed to load needs no closing. */
  async close(): Promise<void> {
    if (this.#users > 0) await new Promise<void>((resolve) => (this.#onUnused = resolve))
    const opened = await this.loading.catch(() => null)
    await opened?.close()
  }
}

const identities = new WeakMap<ModelVersion, string>()

/**
 * Versions never change, but a model's declared outputs and how it is run may: then it is loaded again. "lockstep dev"
 * also reuses numbers. Remembered for the versions of one catalog.
 */
export function identityOf(model: CatalogModel, version: ModelVersion): string {
  let identity = identities.get(version)
  if (identity === undefined) {
    identity = JSON.stringify([
      model.name,
      version.version,
      version.sha256,
      version.serviceFingerprint,
      version.contract.inputs.map(({ features }) => features),
      model.spec.output,
      model.operational,
    ])
    identities.set(version, identity)
  }
  return identity
}
