import type { Entry, EntryFilter } from '../../registry/find/entry.ts'
import type { Lineage, LineageDirection } from '../../registry/find/graph.ts'
import type { Found } from '../../registry/find/search.ts'
import type { DefinitionPage } from '../../serving/find/definition-page.ts'
import type { Context } from '../context.ts'
import type { Input } from '../input.ts'
import { serverOf } from '../remote/server-option.ts'
import { createLocalFinder } from './local-finder.ts'
import { createRemoteFinder } from './remote-finder.ts'

/** What commands find definitions by: the database, or a server that has it. */
export interface Finder {
  entries(filter: EntryFilter): Promise<readonly Entry[]>
  /** @param reference as `findNode` takes it @throws LockstepError `UNKNOWN_DEFINITION` */
  page(reference: string): Promise<DefinitionPage>
  search(text: string, limit: number): Promise<readonly Found[]>
  /** @param reference as `findNode` takes it @throws LockstepError `UNKNOWN_DEFINITION` */
  lineage(reference: string, direction: LineageDirection): Promise<Lineage>
  /** @throws LockstepError what a server answers */
  features(asked: AskedFeatures): Promise<ReadFeatures>
}

export interface AskedFeatures {
  /** `flight_features`, `flight_features@1` */
  readonly service: string
  /** Makes the entities, from what the service takes. @throws LockstepError `USAGE` */
  readonly entities: (takes: Takes) => readonly EntityValues[]
  /** RFC 3339; undefined: now. */
  readonly asOf: string | undefined
}

/** The key and request data of a service. */
export interface Takes {
  readonly service: string
  readonly keys: readonly string[]
  /** By name, of request data too. */
  readonly types: Readonly<Record<string, string>>
}

export type EntityValues = Readonly<Record<string, unknown>>

/** As `POST /v1/features` answers, with the entities. */
export interface ReadFeatures {
  readonly service: string
  readonly version: number
  readonly fingerprint: string
  /** RFC 3339 */
  readonly asOf: string
  readonly skewed?: true
  readonly late?: readonly string[]
  /** By feature: `int64` */
  readonly types: Readonly<Record<string, string>>
  readonly results: readonly {
    readonly entity?: EntityValues
    readonly features: Readonly<Record<string, unknown>>
    readonly statuses: Readonly<Record<string, string>>
    readonly eventTimes: Readonly<Record<string, string | null>>
  }[]
}

export function finderOf(context: Context, input: Input): Finder {
  const server = serverOf(context, input)
  return server === null ? createLocalFinder(context) : createRemoteFinder(server)
}
