import type { OnlineViews } from '../features/online-views.ts'
import type { LiveCatalog } from '../models/live-catalog.ts'
import type { Traffic } from '../traffic/traffic.ts'
import type { Readiness } from '../../runtime/workers/messages.ts'
import type { Stores } from './stores.ts'

/** The parts of a server, by the names that `GET /readyz` shows to everybody. */
export type Part =
  | 'server'
  | 'database'
  | 'online store'
  | 'views'
  | 'registry'
  | 'keys'
  | 'models'
  | 'transforms'
  | 'certificate'
  | 'workers'
  | 'clock'
  | 'prediction log'
  | 'statistics'

export interface ReadinessFinding {
  readonly part: Part
  /** It may name hosts, views and models: for the operator. */
  readonly text: string
}

/** Findings about a part. */
export function about(part: Part, texts: readonly string[]): ReadinessFinding[] {
  return texts.map((text) => ({ part, text }))
}

/** @param reasons why requests cannot be answered @param warnings problems that do not keep it from answering */
export function readinessOf(reasons: readonly ReadinessFinding[], warnings: readonly ReadinessFinding[]): Readiness {
  return {
    ready: reasons.length === 0,
    reasons: textsOf(reasons),
    warnings: textsOf(warnings),
    failing: partsOf(reasons),
    degraded: partsOf(warnings),
  }
}

/** A finding about two parts, such as a late view about views and workers, is reported once. */
function textsOf(findings: readonly ReadinessFinding[]): string[] {
  return [...new Set(findings.map(({ text }) => text))]
}

function partsOf(findings: readonly ReadinessFinding[]): Part[] {
  return [...new Set(findings.map(({ part }) => part))]
}

export interface ReadinessDeps {
  readonly closing: () => boolean
  readonly stores: Stores
  readonly catalog: LiveCatalog
  readonly views: OnlineViews
  readonly keys: Pick<Traffic['keys'], 'known'>
  /** Whether requests need the online store: they may say what is answered without it. */
  readonly needsStore: boolean
  /** Problems of the parts that a server can do without. */
  readonly warnings: () => readonly ReadinessFinding[]
}

/** Whether a server can answer requests. */
export interface ServerReadiness {
  readonly current: () => Readiness
  /** Resolves once it can. */
  readonly whenReady: Promise<void>
  /** Looks whether it can by now. */
  note(): void
}

export function createReadiness({ closing, stores, catalog, views, keys, needsStore, warnings }: ReadinessDeps): ServerReadiness {
  const { promise: whenReady, resolve } = Promise.withResolvers<void>()

  function current(): Readiness {
    const { database, online } = stores
    const reasons: ReadinessFinding[] = []
    const noted = [...warnings()]
    const ofStore = needsStore ? reasons : noted
    if (closing()) reasons.push({ part: 'server', text: 'The server is shutting down.' })
    if (online.failure === null) noted.push(...about('online store', stores.onlineServers.warnings))
    if (online.failure !== null) ofStore.push({ part: 'online store', text: online.failure })
    else if (catalog.loaded !== null && views.failure !== null) ofStore.push({ part: 'views', text: views.failure })
    const registry = about('database', database.failure === null ? [] : [database.failure])
    if (registry.length === 0 && catalog.failure !== null) registry.push({ part: 'registry', text: catalog.failure })
    if (!keys.known && registry.length === 0) reasons.push({ part: 'keys', text: 'The API keys are not loaded yet.' })
    if (catalog.loaded !== null) noted.push(...registry)
    else reasons.push(...(registry.length > 0 ? registry : about('registry', ['The registry is not loaded yet.'])))
    // until then it is unknown which version a name without a version means
    if (views.complete === null && catalog.loaded !== null && online.available !== null)
      reasons.push({ part: 'views', text: 'The views in the online store have not been checked yet.' })
    return readinessOf(reasons, noted)
  }

  return {
    current,
    whenReady,
    note() {
      if (current().ready) resolve()
    },
  }
}
