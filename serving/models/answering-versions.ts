import type { Catalog, CatalogModel } from '../../registry/catalog.ts'
import type { ModelVersion } from '../../registry/models/model-versions.ts'
import type { VersionReference } from '../../registry/models/pick-version.ts'
import { pickVersion } from '../../registry/models/pick-version.ts'
import type { LoadedVersions } from './loaded-versions.ts'

/** Which version of each model answers, under each catalog. */
export interface AnsweringVersions {
  /** By model: what answers from now on. It may be of a catalog before the newest. Empty: nothing has answered yet. */
  readonly now: ReadonlyMap<string, ModelVersion>
  /** The version that answers requests without a version under this catalog; null: none. */
  of(catalog: Catalog, model: CatalogModel): ModelVersion | null
  /** @param asked absent: the one that answers */
  pick(catalog: Catalog, model: CatalogModel, asked: VersionReference | undefined): ModelVersion
  /**
   * What there is to answer with at once: what is to answer, else what has until now, be it of a model as it was;
   * nothing of one that has not answered yet. null: one that has lacks both.
   */
  loadedFor(catalog: Catalog): Map<string, ModelVersion> | null
  /** Lets these versions answer under the catalog, and from now on. */
  set(catalog: Catalog, versions: ReadonlyMap<string, ModelVersion>): void
  /** Forgets the models of which nothing answers now, so that requests for them get the error. */
  forgetOthers(): void
  /** The models as they answer. A model stays as it is while a newer catalog waits for it to load. */
  models(): CatalogModel[]
}

export function createAnsweringVersions({ isLoaded }: Pick<LoadedVersions, 'isLoaded'>): AnsweringVersions {
  const chosenFor = new WeakMap<Catalog, ReadonlyMap<string, ModelVersion>>()
  const asAnswered = new Map<string, { readonly model: CatalogModel; readonly revision: number }>()
  let answered: ReadonlyMap<string, ModelVersion> = new Map()

  /** The version as the catalog has it, if that is loaded; else as it last served. */
  function loadedAs({ revision }: Catalog, model: CatalogModel, version: ModelVersion): ModelVersion | undefined {
    if (isLoaded(model, version)) return version
    const former = asAnswered.get(model.name)
    // a request that began under an older catalog keeps to that catalog
    if (former === undefined || former.revision >= revision) return undefined
    return former.model.versions.find((each) => each.version === version.version && isLoaded(former.model, each))
  }

  return {
    get now() {
      return answered
    },
    of: (catalog, model) => chosenFor.get(catalog)?.get(model.name) ?? (model.versions.length === 0 ? null : pickVersion(model)),
    pick(catalog, model, asked) {
      const chosen = asked === undefined ? chosenFor.get(catalog)?.get(model.name) : undefined
      // the version that served in its place may be unloaded, for a request that began before
      if (chosen !== undefined && (isLoaded(model, chosen) || model.versions.includes(chosen))) return chosen
      const version = pickVersion(model, asked)
      return loadedAs(catalog, model, version) ?? version
    },
    loadedFor(catalog) {
      if (answered.size === 0) return null
      const found = new Map<string, ModelVersion>()
      for (const model of catalog.models.values()) {
        if (model.versions.length === 0) continue
        const before = answered.get(model.name)
        const loaded =
          loadedAs(catalog, model, pickVersion(model)) ?? (before !== undefined && isLoaded(model, before) ? before : undefined)
        if (loaded !== undefined) found.set(model.name, loaded)
        else if (before !== undefined) return null
      }
      return found
    },
    set(catalog, versions) {
      chosenFor.set(catalog, versions)
      answered = versions
      for (const [name, version] of versions) {
        const model = catalog.models.get(name)
        if (model?.versions.includes(version) === true) asAnswered.set(name, { model, revision: catalog.revision })
      }
    },
    forgetOthers() {
      for (const name of asAnswered.keys()) if (!answered.has(name)) asAnswered.delete(name)
    },
    models: () => Array.from(asAnswered.values(), ({ model }) => model),
  }
}
