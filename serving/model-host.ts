import type { Logger } from '../runtime/log.ts'
import { messageOf } from '../kernel/errors.ts'
import type { ServicePlan } from '../kernel/service-plan.ts'
import type { Column } from '../kernel/value-type.ts'
import type { Catalog, CatalogModel } from '../registry/catalog.ts'
import type { ModelVersion } from '../registry/model-versions.ts'
import { createBatcher } from './inference/batcher.ts'
import type { Batcher } from './inference/batcher.ts'
import { loadModelVersion, pickVersion } from './model-version.ts'

export interface ServedModel {
  readonly version: ModelVersion
  readonly service: ServicePlan
  readonly outputs: readonly Column[]
  readonly predict: Batcher['predict']
}

export interface ModelHostDeps {
  readonly readBytes: (model: string, version: number) => Promise<Uint8Array>
  readonly onRun: (model: string, rows: number) => void
  readonly log: Logger
}

/** Keeps model versions loaded: the newest of each model always, others from when they are first asked for. */
export interface ModelHost {
  /**
   * Gives `fn` the model, which stays loaded until it is done.
   *
   * @param version absent: the newest
   * @throws LockstepError `UNKNOWN_DEFINITION`, `MODEL_MISMATCH`, `MODEL_INVALID`, and what `fn` throws
   */
  use<T>(catalog: Catalog, name: string, version: number | undefined, fn: (model: ServedModel) => Promise<T>): Promise<T>
  /** Loads the newest version of each model. One that fails is logged, and answers with its error when it is asked for. */
  prepare(catalog: Catalog): Promise<void>
  /** Lets go of versions that the catalog no longer has, each once nobody uses it. */
  retain(catalog: Catalog): void
  close(): Promise<void>
}

interface Entry {
  readonly loading: Promise<{ served: ServedModel; close: () => Promise<void> }>
  users: number
  retired: boolean
}

const failureKeptMs = 2000

export function createModelHost(deps: ModelHostDeps): ModelHost {
  const entries = new Map<string, Entry>()
  const identities = new WeakMap<ModelVersion, string>()

  /** Versions never change, but a model's declared outputs may: then it is loaded anew. Remembered for the versions of one catalog. */
  function identity(model: CatalogModel, version: ModelVersion): string {
    let known = identities.get(version)
    if (known === undefined) {
      known = JSON.stringify([model.name, version.version, version.sha256, version.serviceFingerprint, model.spec.output])
      identities.set(version, known)
    }
    return known
  }

  function open(catalog: Catalog, model: CatalogModel, version: ModelVersion): Entry {
    const id = identity(model, version)
    const known = entries.get(id)
    if (known !== undefined) return known
    const entry: Entry = { loading: load(catalog, model, version), users: 0, retired: false }
    entries.set(id, entry)
    // A failure is kept for a moment, so that requests do not load what fails again and again; then the next one tries, for PostgreSQL may answer by then.
    entry.loading.catch(() => {
      setTimeout(() => {
        if (entries.get(id) === entry) entries.delete(id)
      }, failureKeptMs).unref()
    })
    return entry
  }

  async function load(catalog: Catalog, model: CatalogModel, version: ModelVersion) {
    const { service, loaded } = await loadModelVersion(catalog, model, version, deps.readBytes)
    const batcher = createBatcher(loaded, { onRun: (rows) => deps.onRun(model.name, rows) })
    return { served: { version, service, outputs: loaded.outputs, predict: batcher.predict }, close: loaded.close }
  }

  function discard(entry: Entry): void {
    entry.loading
      .then(
        ({ close }) => close(),
        () => undefined,
      )
      .catch((error: unknown) => deps.log.warn({ error: messageOf(error) }, 'a model could not be freed'))
  }

  return {
    async use(catalog, name, version, fn) {
      const model = catalog.model(name)
      const entry = open(catalog, model, pickVersion(model, version))
      entry.users++
      try {
        return await fn((await entry.loading).served)
      } finally {
        entry.users--
        if (entry.retired && entry.users === 0) discard(entry)
      }
    },
    async prepare(catalog) {
      for (const model of catalog.models.values()) {
        const newest = model.versions.at(-1)
        if (newest === undefined) continue
        try {
          await open(catalog, model, newest).loading
        } catch (error) {
          deps.log.error({ model: model.name, version: newest.version, error: messageOf(error) }, 'a model does not load')
        }
      }
    },
    retain(catalog) {
      const there = new Set([...catalog.models.values()].flatMap((model) => model.versions.map((version) => identity(model, version))))
      for (const [id, entry] of entries) {
        if (there.has(id)) continue
        entries.delete(id)
        entry.retired = true
        if (entry.users === 0) discard(entry)
      }
    },
    async close() {
      const open = [...entries.values()]
      entries.clear()
      for (const { loading } of open) await loading.then(({ close }) => close()).catch(() => undefined)
    },
  }
}
