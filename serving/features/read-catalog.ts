import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { OnDemandSpec } from '../../kernel/specs/service-spec.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { DefinitionId } from '../../kernel/specs/view-spec.ts'
import type { Catalog } from '../../registry/catalog.ts'

/**
 * The catalog as reads go by it: a bare name is the newest version of which the online store holds every view
 * completely. So a version that was just applied answers once it is materialized, and the one before answers until
 * then. Where no version is complete, a bare name is the newest one, and reading it says what is missing.
 */
export interface ReadCatalog extends Catalog {
  /** @param version null: the newest one that can be read. @returns undefined: there is no such on-demand view */
  onDemandId(name: string, version: number | null): DefinitionId | undefined
}

/**
 * @param complete the online views that the store holds completely, null where it has not said; another set, another
 * catalog
 */
export function createReadCatalogs(complete: () => ReadonlySet<DefinitionId> | null): (catalog: Catalog) => ReadCatalog {
  let last: { readonly catalog: Catalog; readonly complete: ReadonlySet<DefinitionId> | null; readonly made: ReadCatalog } | null = null
  return (catalog) => {
    const now = complete()
    if (last === null || last.catalog !== catalog || last.complete !== now) {
      last = { catalog, complete: now, made: readCatalog(catalog, now) }
    }
    return last.made
  }
}

function readCatalog(catalog: Catalog, complete: ReadonlySet<DefinitionId> | null): ReadCatalog {
  const canRead = (view: DefinitionId): boolean => !catalog.online.has(view) || complete?.has(view) === true
  const newestServices = newestByName([...catalog.services].filter(([, { uses }]) => uses.every(({ plan }) => canRead(plan.id))))
  const newestViews = newestByName([...catalog.views].filter(([id]) => canRead(id)))
  const services = new Map<string, ServicePlan>([...catalog.services, ...newestServices])
  const views = new Map<string, ViewPlan>([...catalog.views, ...newestViews])
  const onDemand = newestByName([...catalog.onDemand].filter(([, { spec }]) => viewsOf(catalog, spec).every(canRead)))
  const anyOnDemand = newestByName([...catalog.onDemand])
  return {
    ...catalog,
    service: (reference) => services.get(reference) ?? catalog.service(reference),
    view: (reference) => views.get(reference) ?? catalog.view(reference),
    onDemandId(name, version) {
      if (version === null) return idOf((onDemand.get(name) ?? anyOnDemand.get(name))?.spec)
      return catalog.onDemand.has(`${name}@${version}`) ? `${name}@${version}` : undefined
    },
  }
}

/** The version that each bare name means. */
function newestByName<T>(versions: readonly (readonly [DefinitionId, T])[]): ReadonlyMap<string, T> {
  const ascending = versions.toSorted(([a], [b]) => versionOf(a) - versionOf(b))
  return new Map(ascending.map(([id, version]) => [id.slice(0, id.lastIndexOf('@')), version]))
}

function versionOf(id: DefinitionId): number {
  return Number(id.slice(id.lastIndexOf('@') + 1))
}

function idOf(spec: OnDemandSpec | undefined): DefinitionId | undefined {
  return spec === undefined ? undefined : `${spec.name}@${spec.version}`
}

function viewsOf(catalog: Catalog, { inputs }: OnDemandSpec): DefinitionId[] {
  return inputs.flatMap((input) => {
    if ('use' in input) return [input.use.view]
    const inner = catalog.onDemand.get(input.onDemand)
    return inner === undefined ? [] : viewsOf(catalog, inner.spec)
  })
}
