import type { Frontier } from '../../kernel/states/frontier.ts'
import { frontierText, intersection } from '../../kernel/states/frontier.ts'
import type { ServedEntity, ServicePlan, ServiceRow } from '../../kernel/service-plan.ts'
import type { ViewValues } from '../../kernel/states/state.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { DefinitionId } from '../../kernel/specs/view-spec.ts'
import type { ReadOrigin } from '../../monitoring/prediction-log/provenance.ts'
import { originsOf } from '../../monitoring/prediction-log/provenance.ts'
import type { OnlineAnswer } from '../../online/read.ts'
import { traced, tracedNow } from '../../runtime/tracing/span.ts'
import type { AskHistory, FoundValues } from './found-values.ts'
import { fillFromHistory, findValues } from './found-values.ts'
import type { LateViews } from './late-views.ts'
import type { FeatureMoment, OnlineReadingDeps } from './online-reading.ts'
import { OnlineReading, greatestHighWater } from './online-reading.ts'
import type { ServedAgeMetrics } from './served-age-metrics.ts'
import { evaluateRows, refuseMissing } from './service-rows.ts'

export interface FeatureReaderDeps extends OnlineReadingDeps {
  readonly history: AskHistory
  /** Which scheduled views lack a run that is due. Absent: none is reported. */
  readonly late?: LateViews
  /** Absent: how old answers are is not measured. */
  readonly ages?: ServedAgeMetrics
  /** Called with every read. */
  readonly onRead?: (service: ServicePlan, read: FeatureRead) => void
}

export interface FeatureRead {
  readonly entities: readonly ServedEntity[]
  /** By index of the entities. */
  readonly rows: readonly ServiceRow[]
  /** The one moment that all of it holds for, epoch microseconds. */
  readonly asOf: number
  /**
   * True if this machine's clock is behind what is stored: then `asOf` is the greatest high-water mark that was read.
   */
  readonly skewed: boolean
  /** True if the online store could not be read: then its views are stale, or defaults with status UNAVAILABLE. */
  readonly degraded: boolean
  /** How long ago the oldest stale state was read, milliseconds; null: none is stale. */
  readonly staleMs: number | null
  /** Scheduled views that lack a run which was due by this moment. */
  readonly late: readonly DefinitionId[]
  /** How long the values were computed after the states were read, milliseconds. */
  readonly evaluateMs: number
  /** How many answers, each of one entity and view, came from the history. */
  readonly fromHistory: number
  /**
   * By view: the transactions whose rows are in every answer of this read (`frontierText`), also where the history
   * answered; null where nothing is stored. Online views only.
   */
  frontiers(): ReadonlyMap<DefinitionId, string | null>
  /** By entity, and there by index of the service's `uses`. */
  origins(): ReadOrigin[][]
}

/**
 * The service's features for each entity at one moment, by the same `evaluate` as training. It reads the online store
 * once for all entities and views, and the offline history once for what the store cannot answer.
 *
 * @throws LockstepError `REQUIRED_FEATURE_MISSING` naming the entity's index and the features; `TRANSFORM_FAILED` or
 *   `INVALID_ENTITY` naming the index of an entity whose data an on-demand view cannot take or makes an unwritable text
 *   of; `TOO_MANY_CATEGORIES` naming the index; what the stores throw
 */
export function readFeatures(
  deps: FeatureReaderDeps,
  service: ServicePlan,
  entities: readonly ServedEntity[],
  moment: FeatureMoment,
): Promise<FeatureRead> {
  const { span } = moment
  if (span === undefined) return read(deps, service, entities, moment)
  return traced(span, 'read features', (own) => {
    own?.set({
      'lockstep.service': service.id,
      'lockstep.views': service.uses.map(({ plan }) => plan.id),
      'lockstep.entities': entities.length,
    })
    return read(deps, service, entities, { ...moment, span: own })
  })
}

async function read(
  deps: FeatureReaderDeps,
  service: ServicePlan,
  entities: readonly ServedEntity[],
  moment: FeatureMoment,
): Promise<FeatureRead> {
  const reading = new OnlineReading(deps, service, entities, moment)
  const asked = deps.late?.of(service, deps.store, moment.asOf) ?? noneLate
  const late = asked instanceof Promise ? await asked : asked
  let answers = await reading.read(true, moment.pushed)
  if (!moment.asked && greatestHighWater(answers) > reading.asOf) answers = await reading.readAhead(answers)
  if (!moment.asked) deps.ages?.note(reading.requests, answers, reading.asOf)
  const found = findValues(reading, answers)
  if (found.missing !== null) {
    for (const { damage } of answers) if (damage !== undefined) deps.onStoreError?.(damage)
    await fillFromHistory(deps.history, reading, answers, found.values, found.missing)
  }
  const result = evaluate(reading, answers, found, late)
  deps.onRead?.(service, result)
  return result
}

/** @param found complete by now */
function evaluate(
  reading: OnlineReading,
  answers: readonly OnlineAnswer[],
  found: FoundValues,
  late: readonly DefinitionId[],
): FeatureRead {
  const { service, entities, moment, asOf, online, unavailable } = reading
  const values = found.values as ViewValues[]
  const begunMs = performance.now()
  const rows = tracedNow(moment.span, 'evaluate', () => evaluateRows(service, entities, values, asOf, moment.rows))
  const evaluateMs = performance.now() - begunMs
  // a default is no value of a required feature
  if (unavailable !== null && rows.some((row) => row.missing.length > 0)) throw unavailable
  refuseMissing(service, rows, asOf, moment.rows)
  const { requests: missing, at: missingAt, seen } = found.missing ?? nothingMissing
  const origins = (): ReadOrigin[][] => originsOf({ online, values, answers, missing, missingAt, seen })
  return {
    entities,
    rows,
    asOf,
    skewed: asOf !== moment.asOf,
    degraded: unavailable !== null,
    staleMs: reading.staleMs,
    late,
    evaluateMs,
    fromHistory: missing.length,
    frontiers: () => commonFrontiers(reading, origins()),
    origins,
  }
}

const nothingMissing: NonNullable<FoundValues['missing']> = { requests: [], at: [], seen: null }
const noneLate: readonly DefinitionId[] = []

/** By view: the transactions whose rows are in all answers. */
function commonFrontiers({ service, online }: OnlineReading, origins: readonly ReadOrigin[][]): Map<DefinitionId, string | null> {
  const common = new Map<DefinitionId, Frontier | null>()
  for (const entity of origins) {
    for (const [u, { frontier }] of entity.entries()) {
      if (online[u] !== true) continue
      const view = (service.uses[u] as { plan: ViewPlan }).plan.id
      const before = common.get(view) ?? null
      common.set(view, before === null || frontier === null ? (frontier ?? before) : intersection(before, frontier))
    }
  }
  return new Map([...common].map(([view, frontier]) => [view, frontier === null ? null : frontierText(frontier)]))
}
