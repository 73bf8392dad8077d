import { parseTimestamp } from '../kernel/values/time.ts'
import type {
  BatchAnswer,
  FeatureColumnsAnswer,
  FeaturesAnswer,
  OutcomesAnswer,
  PredictAnswer,
  PredictColumnsAnswer,
  PushAnswer,
  ServedRow,
} from './answers.ts'
import { ClientError } from './client-error.ts'
import { columnsDecoder, recordDecoder } from './decode.ts'
import type {
  Entity,
  ModelName,
  ModelNamed,
  Moment,
  OutcomeName,
  OutcomeNamed,
  SentOutcome,
  ServiceId,
  ServiceName,
  ServiceNamed,
  SourceEvent,
  SourceName,
  SourceNamed,
} from './definitions.ts'
import type { SendLimits } from './send.ts'
import { send } from './send.ts'

export interface ClientOptions {
  /** The URL of the server: `https://features.example.com`. */
  readonly url: string
  /** Made by `lockstep keys create`. Anyone who can read a page can read its key. */
  readonly apiKey?: string
  /**
   * How long a request may take with all its attempts, milliseconds, unless it has its own timeout. Default: 10,000.
   */
  readonly timeoutMs?: number
  /** How often a request is retried after a temporary failure. Default: 3. */
  readonly retries?: number
  /** Replaces the platform's own. */
  readonly fetch?: typeof fetch
}

export interface RequestOptions {
  /** Replaces the client's. */
  readonly timeoutMs?: number
  /** Aborts the request, with its reason. */
  readonly signal?: AbortSignal
}

export interface ReadOptions extends RequestOptions {
  /** The moment of all values. Default: now. */
  readonly asOf?: Moment
  /** Tokens of pushes that the answer must include. */
  readonly after?: string | readonly string[]
  /** The answer while the online store is down. Default: the server's setting. */
  readonly onUnavailable?: 'error' | 'stale' | 'defaults'
}

type EntityOf<D, N extends string> = Entity<ModelNamed<D, N>['service']>

/** An array, or a tuple where the rows are written out in the call: the answer then has as many. */
type Rows<Row> = readonly Row[] | readonly [Row]

/** Refuses fields that a row does not have. */
type Exactly<Given, Row> = { readonly [I in keyof Given]: Given[I] & { readonly [K in Exclude<keyof Given[I], keyof Row>]: never } }

/** A client of a server that serves the definitions `D`. All methods throw ClientError. */
export interface Client<D> {
  features<N extends ServiceName<D>, E extends Rows<Entity<ServiceNamed<D, N>>> = readonly Entity<ServiceNamed<D, N>>[]>(
    service: N,
    entities: Exactly<E, Entity<ServiceNamed<D, N>>>,
    options?: ReadOptions,
  ): Promise<FeaturesAnswer<ServiceNamed<D, N>, E>>
  /**
   * The same by column, for many entities: an array for each feature, and statuses only where one is not PRESENT.
   *
   * @param options `eventTimes`: whether the answer includes the event times
   */
  featureColumns<N extends ServiceName<D>>(
    service: N,
    entities: readonly Entity<ServiceNamed<D, N>>[],
    options?: ReadOptions & { readonly eventTimes?: boolean },
  ): Promise<FeatureColumnsAnswer<ServiceNamed<D, N>>>
  /**
   * @param options `version`: a number or an alias, default: the champion. `features`: the service whose features the
   * answer includes, such as `flight_features@1`. A model version that takes another service is refused with
   * VERSION_CHANGED
   */
  predict<N extends ModelName<D>, E extends Rows<EntityOf<D, N>> = readonly EntityOf<D, N>[]>(
    model: N,
    entities: Exactly<E, EntityOf<D, N>>,
    options?: PredictOptions<ServiceId<ModelNamed<D, N>['service']>>,
  ): Promise<PredictAnswer<ModelNamed<D, N>, E>>
  /** The same by column, for many entities: an array for each output. */
  predictColumns<N extends ModelName<D>>(
    model: N,
    entities: readonly EntityOf<D, N>[],
    options?: PredictOptions<ServiceId<ModelNamed<D, N>['service']>>,
  ): Promise<PredictColumnsAnswer<ModelNamed<D, N>>>
  /**
   * Predictions of the model's newest batch with `online`, while they are fresh. The model answers all other rows.
   *
   * @param options `version`: a number or an alias, default: the champion
   */
  predictFromBatch<N extends ModelName<D>, E extends Rows<EntityOf<D, N>> = readonly EntityOf<D, N>[]>(
    model: N,
    entities: Exactly<E, EntityOf<D, N>>,
    options?: RequestOptions & Pick<ReadOptions, 'onUnavailable'> & { readonly version?: number | string },
  ): Promise<BatchAnswer<ModelNamed<D, N>, E>>
  /** Stores all events or none. Each is stored once, however often it is sent. */
  push<N extends SourceName<D>>(
    source: N,
    events: readonly SourceEvent<SourceNamed<D, N>>[],
    options?: RequestOptions & { readonly to?: 'both' | 'online' | 'offline' },
  ): Promise<PushAnswer>
  /** Says what came of predictions. Stores all outcomes or none, each once, however often it is sent. */
  outcome<N extends OutcomeName<D>>(
    outcome: N,
    outcomes: readonly SentOutcome<OutcomeNamed<D, N>>[],
    options?: RequestOptions,
  ): Promise<OutcomesAnswer>
}

interface PredictOptions<Service extends string> extends ReadOptions {
  readonly version?: number | string
  readonly features?: Service
}

type Named = Readonly<Record<string, unknown>>
type Types = Readonly<Record<string, string>>
type Arrays = Readonly<Record<string, readonly unknown[]>>
type RowsByStatus = Readonly<Record<string, Readonly<Record<string, readonly number[]>>>>

/**
 * Makes a client of a server, for browsers and Node. A definitions module gives the types of its parameters and
 * results; only the types are used. A feature service is named with its version, so that a program keeps getting the
 * version that it was built with.
 *
 * @example
 * import type * as definitions from './definitions.ts'
 * const client = createClient<typeof definitions>({ url: 'http://127.0.0.1:8080', apiKey })
 * const { predictions } = await client.predict('delay', [{ airport: 'ATL', distance: 594 }])
 * const { results } = await client.features('flight_features@1', [{ airport: 'ATL', distance: 594 }])
 * @throws ClientError `CONFIG_INVALID` where the url is not one of a server
 */
export function createClient<D>(options: ClientOptions): Client<D> {
  const url = baseUrl(options.url)
  const settings = {
    url,
    apiKey: options.apiKey ?? null,
    retries: options.retries ?? 3,
    fetch: options.fetch ?? ((...call: Parameters<typeof fetch>) => fetch(...call)),
  }
  const limits = ({ timeoutMs = options.timeoutMs ?? 10_000, signal }: RequestOptions): SendLimits => ({ timeoutMs, signal })

  async function askModel(model: string, entities: readonly unknown[], how: PredictOptions<string>, format: object): Promise<Named> {
    const { version, features: wanted } = how
    const include = wanted === undefined ? ['types'] : ['types', 'features']
    const body = { model, entities, ...(version === undefined ? {} : { version }), ...reading(how), ...format, include }
    const answer = await send(settings, '/v1/predict', body, limits(how))
    const other = servedBy(answer).find(({ service }) => service !== wanted)
    if (wanted !== undefined && other !== undefined) throw otherService(wanted, { ...answer, ...other })
    return answer
  }

  return {
    async features(service: string, entities: readonly unknown[], how: ReadOptions = {}) {
      const body = { service, entities, ...reading(how), include: ['types', 'eventTimes'] }
      const answer = await send(settings, '/v1/features', body, limits(how))
      const read = recordDecoder(answer['types'] as Types)
      const results = answer['results'] as readonly { features: Named; statuses: Types; eventTimes: Types }[]
      return {
        service: answer['service'],
        version: answer['version'],
        fingerprint: answer['fingerprint'],
        ...moment(answer),
        results: results.map(({ features, statuses, eventTimes }) => ({
          features: read(features, statuses),
          statuses,
          eventTimes: Object.fromEntries(
            Object.entries(eventTimes).map(([name, time]: [string, string | null]) => [name, time === null ? null : parseTimestamp(time)]),
          ),
        })),
      } as never
    },
    async featureColumns(service: string, entities: readonly unknown[], how: ReadOptions & { readonly eventTimes?: boolean } = {}) {
      const include = how.eventTimes === true ? ['types', 'eventTimes'] : ['types']
      const body = { service, entities, ...reading(how), format: 'columns', include }
      const answer = await send(settings, '/v1/features', body, limits(how))
      const statuses = answer['statuses'] as RowsByStatus
      const times = answer['eventTimes'] as Arrays | undefined
      const timeTypes = Object.fromEntries(Object.keys(times ?? {}).map((name) => [name, 'timestamp']))
      return {
        service: answer['service'],
        version: answer['version'],
        fingerprint: answer['fingerprint'],
        ...moment(answer),
        features: columnsDecoder(answer['types'] as Types)(answer['features'] as Arrays, statuses),
        statuses,
        eventTimes: times === undefined ? null : columnsDecoder(timeTypes)(times),
      } as never
    },
    async predict(model: string, entities: readonly unknown[], how: PredictOptions<string> = {}) {
      const answer = await askModel(model, entities, how, {})
      const read = recordDecoder(answer['outputTypes'] as Types)
      const readFeatures = recordDecoder(answer['types'] as Types)
      const [invalid, statuses] = [answer['outputStatuses'] as Types[] | undefined, answer['statuses'] as Types[] | undefined]
      return {
        ...predicted(answer),
        predictions: (answer['predictions'] as readonly Named[]).map((each, i) => read(each, invalid?.[i])),
        features:
          how.features === undefined ? null : (answer['features'] as readonly Named[]).map((each, i) => readFeatures(each, statuses?.[i])),
      } as never
    },
    async predictColumns(model: string, entities: readonly unknown[], how: PredictOptions<string> = {}) {
      const answer = await askModel(model, entities, how, { format: 'columns' })
      const read = columnsDecoder(answer['outputTypes'] as Types)
      const readFeatures = columnsDecoder(answer['types'] as Types)
      const [invalid, statuses] = [answer['outputStatuses'] as RowsByStatus | undefined, answer['statuses'] as RowsByStatus | undefined]
      return {
        ...predicted(answer),
        predictions: read(answer['predictions'] as Arrays, invalid),
        features: how.features === undefined ? null : readFeatures(answer['features'] as Arrays, statuses),
      } as never
    },
    async predictFromBatch(
      model: string,
      entities: readonly unknown[],
      how: Pick<PredictOptions<string>, 'version' | 'onUnavailable' | keyof RequestOptions> = {},
    ) {
      const { version, onUnavailable } = how
      const chosen = { ...(version === undefined ? {} : { version }), ...(onUnavailable === undefined ? {} : { onUnavailable }) }
      const answer = await send(settings, '/v1/predict', { model, entities, ...chosen, from: 'batch', include: ['types'] }, limits(how))
      const read = recordDecoder(answer['outputTypes'] as Types)
      const invalid = answer['outputStatuses'] as Types[] | undefined
      // absent: the model has no such batch
      const batches = answer['fromBatch'] as readonly ({ readonly id: string; readonly asOf: string } | null)[] | undefined
      return {
        ...predicted(answer),
        predictions: (answer['predictions'] as readonly Named[]).map((each, i) => read(each, invalid?.[i])),
        fromBatch: entities.map((_, i) => {
          const batch = batches?.[i] ?? null
          return batch === null ? null : { id: batch.id, asOf: parseTimestamp(batch.asOf) }
        }),
      } as never
    },
    async push(source: string, events: readonly object[], how: RequestOptions & { readonly to?: 'both' | 'online' | 'offline' } = {}) {
      const body = { events: events.map((event) => ({ _event_id: randomId(), ...event })), ...(how.to === undefined ? {} : { to: how.to }) }
      const answer = await send(settings, `/v1/sources/${encodeURIComponent(source)}/events`, body, limits(how))
      const { requestId, accepted, duplicates, online = null, token } = answer
      return { requestId, accepted, duplicates, online, token } as PushAnswer
    },
    async outcome(outcome: string, outcomes: readonly object[], how: RequestOptions = {}) {
      const body = { outcome, outcomes: outcomes.map((each) => ({ id: randomId(), ...each })) }
      const { requestId, accepted, duplicates, late, unknown, logShare } = await send(settings, '/v1/outcomes', body, limits(how))
      return { requestId, accepted, duplicates, late, unknown, logShare } as OutcomesAnswer
    },
  }
}

function predicted(answer: Named): object {
  const { model, version = null, service = null } = answer
  const predictionIds = answer['predictionIds'] as readonly string[]
  const byRow: ServedRow[] = []
  for (const { rows, version, service, role, experiment = null, variant = null, bypassed = null } of servedBy(answer)) {
    const served = { version, service, role, experiment, variant, bypassed }
    for (const row of rows ?? predictionIds.keys()) byRow[row] = { predictionId: predictionIds[row] ?? '', ...served }
  }
  return { model, version, service, servedBy: byRow, ...moment(answer), predictionIds }
}

/** A group in the answer of a server. Without `rows`, it has all rows. */
interface ServedGroup
  extends Pick<ServedRow, 'version' | 'service' | 'role'>, Partial<Pick<ServedRow, 'experiment' | 'variant' | 'bypassed'>> {
  readonly rows?: readonly number[]
}

function servedBy(answer: Named): readonly ServedGroup[] {
  const several = answer['servedBy'] as readonly ServedGroup[] | undefined
  return several ?? [answer as unknown as ServedGroup]
}

function otherService(wanted: string, { model, version, service, requestId }: Named): ClientError {
  return new ClientError(
    'VERSION_CHANGED',
    `The model "${String(model)}" version ${String(version)} takes the features of "${String(service)}", but the client asked for those of "${wanted}". Build this program with the current definitions, or name a version that takes "${wanted}".`,
    { status: 200, requestId: String(requestId), details: { service, wanted }, attempts: 1 },
  )
}

/** @throws ClientError `CONFIG_INVALID` */
function baseUrl(text: string): string {
  const url = URL.parse(text)
  if (url !== null && (url.protocol === 'http:' || url.protocol === 'https:')) {
    const path = url.pathname.replace(/\/+$/, '')
    if (path !== '/v1') return url.origin + path
    throw new ClientError(
      'CONFIG_INVALID',
      `The url "${text}" has the path "/v1", which the client adds. Leave it out: "${url.origin}". A proxy needs another path, such as "/lockstep/v1".`,
      { attempts: 0 },
    )
  }
  const meant = text.includes('://') || !URL.canParse(`http://${text}`) ? '' : ` Did you mean "http://${text}"?`
  throw new ClientError(
    'CONFIG_INVALID',
    `The url "${text}" is not a server URL; write it with its scheme, such as https://features.example.com.${meant}`,
    { attempts: 0 },
  )
}

function reading({ asOf, after, onUnavailable }: ReadOptions): object {
  return {
    ...(asOf === undefined ? {} : { asOf }),
    ...(after === undefined ? {} : { after }),
    ...(onUnavailable === undefined ? {} : { onUnavailable }),
  }
}

function moment(answer: Named): object {
  return {
    requestId: answer['requestId'],
    asOf: parseTimestamp(String(answer['asOf'])),
    degraded: answer['degraded'] === true,
    staleMs: answer['staleMs'] ?? null,
    late: answer['late'] ?? [],
  }
}

/** Pages have `crypto.randomUUID` only over https. */
function randomId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('')
}
