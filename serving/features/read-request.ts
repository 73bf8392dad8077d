import { LockstepError } from '../../kernel/errors.ts'
import { memoizeWeak } from '../../kernel/memoize-weak.ts'
import type { ServedEntity, ServicePlan } from '../../kernel/service-plan.ts'
import { requireMicros } from '../../kernel/values/time.ts'
import { valueFromJson } from '../../kernel/values/value-json.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { Logger } from '../../runtime/log.ts'
import type { Span } from '../../runtime/tracing/span.ts'
import type { Place } from '../traffic/place.ts'
import type { RequestDeadline } from '../traffic/request-deadline.ts'
import { createEntityParser } from './entity-parser.ts'
import type { OnUnavailable } from './fallback-policy.ts'
import type { FeatureMoment } from './online-reading.ts'
import type { FeatureRead, FeatureReaderDeps } from './read-features.ts'
import { readFeatures } from './read-features.ts'
import { pushedBy } from './read-your-writes.ts'

/** The dependencies of reads of features. */
export interface FeatureContext {
  /** What reads features under a catalog. @throws LockstepError `NOT_READY` */
  readonly reader: (catalog: Catalog) => FeatureReaderDeps
  /** Epoch microseconds. */
  readonly clock: () => number
  /** The moment of a request that names none, epoch microseconds; null: now. */
  readonly defaultAsOf: number | null
  /** The policy for requests that name none, while the online store cannot be read. */
  readonly onUnavailable: OnUnavailable
  readonly log: Logger
}

/** The part of a request about entities, in every protocol. */
export interface EntityRequest {
  /** Entity objects, as `createEntityParser` takes them. */
  readonly entities: readonly unknown[]
  /** RFC 3339 or epoch microseconds. Absent: the server's default. */
  readonly asOf?: string | number | undefined
  /** Tokens of pushes that the read must include. */
  readonly after?: readonly string[] | undefined
  /** Absent: the server's default. */
  readonly onUnavailable?: OnUnavailable | undefined
  readonly deadline?: RequestDeadline | undefined
  /** The span of the request; undefined: it is not recorded. */
  readonly span?: Span | undefined
  /** The place of the request; undefined: it has none. */
  readonly place?: Place | undefined
}

const parserOf = memoizeWeak(createEntityParser)

/**
 * Parses the entities of a request and reads their features at its moment.
 *
 * @throws LockstepError `INVALID_TIME`, `INVALID_TYPE`, `INVALID_REQUEST` for a token, and what `createEntityParser`
 *   and `readFeatures` throw
 */
export function readEntities(
  context: FeatureContext,
  catalog: Catalog,
  service: ServicePlan,
  request: EntityRequest & { readonly requestId: string },
): Promise<FeatureRead> {
  const moment = featureMoment(context, catalog, request)
  return readFeaturesAt(context, catalog, service, parseEntities(service, request.entities), moment, request.requestId)
}

/**
 * @param rows indexes of the entities to parse. Absent: all.
 * @throws LockstepError what `createEntityParser` throws
 */
export function parseEntities(service: ServicePlan, entities: readonly unknown[], rows?: readonly number[]): ServedEntity[] {
  const parse = parserOf(service)
  return rows === undefined || rows.length === entities.length ? entities.map(parse) : rows.map((row) => parse(entities[row], row))
}

/**
 * The moment of a request, and what its read goes by.
 *
 * @param neededMs how long the steps after the read take. A read with a fallback gives up early enough to leave this
 *   time, and a tenth of the time that the request allows.
 */
export function featureMoment(context: FeatureContext, catalog: Catalog, request: EntityRequest, neededMs = 0): FeatureMoment {
  const { deadline, after, span, place } = request
  const asked = requestedMoment(context, request.asOf)
  const onUnavailable = request.onUnavailable ?? context.onUnavailable
  return {
    asOf: asked ?? context.clock(),
    asked: asked !== null,
    onUnavailable,
    deadline,
    span,
    place,
    ...(onUnavailable === 'error' || deadline === undefined ? {} : { giveUpAt: deadline.at - deadline.limitMs / 10 - neededMs }),
    ...(after === undefined ? {} : { pushed: pushedBy(after, catalog) }),
  }
}

/** Reads the features of parsed entities, and logs at level debug what was read. */
export function readFeaturesAt(
  context: FeatureContext,
  catalog: Catalog,
  service: ServicePlan,
  entities: readonly ServedEntity[],
  moment: FeatureMoment,
  requestId: string,
): Promise<FeatureRead> {
  const reading = readFeatures(context.reader(catalog), service, entities, moment)
  return context.log.isLevelEnabled('debug') ? reading.then((read) => logged(context.log, service, read, requestId)) : reading
}

function logged(log: Logger, service: ServicePlan, read: FeatureRead, requestId: string): FeatureRead {
  log.debug(
    {
      requestId,
      service: service.id,
      asOf: read.asOf,
      entities: read.rows.length,
      skewed: read.skewed,
      fromHistory: read.fromHistory,
      frontiers: Object.fromEntries(read.frontiers()),
    },
    'features were read',
  )
  return read
}

/** The moment that a request names, or the server's default; null: now. @throws LockstepError as `readMoment` */
export function requestedMoment({ defaultAsOf }: Pick<FeatureContext, 'defaultAsOf'>, asOf: string | number | undefined): number | null {
  return asOf === undefined ? defaultAsOf : readMoment(asOf)
}

/** The moment that a request names, in epoch microseconds. @throws LockstepError `INVALID_TIME`, `INVALID_TYPE` */
function readMoment(asOf: string | number): number {
  const moment = valueFromJson({ kind: 'timestamp' }, asOf, 'The field "asOf"')
  if (typeof asOf === 'number') requireMicros(asOf, 'The field "asOf"')
  if (typeof moment === 'number') return moment
  throw new LockstepError('INVALID_TIME', 'The field "asOf" is not a time; write it as 2001-07-01T00:00:00Z or leave it out.')
}
