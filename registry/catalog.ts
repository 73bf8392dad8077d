import type { Kysely } from 'kysely'
import { LockstepError } from '../kernel/errors.ts'
import type { OutcomePlan } from '../kernel/compile-outcome.ts'
import type { ExperimentSpec } from '../kernel/experiment-spec.ts'
import type { OnDemandCode } from '../kernel/on-demand-step.ts'
import type { ServicePlan } from '../kernel/service-plan.ts'
import type { ModelSpec } from '../kernel/service-spec.ts'
import type { ViewPlan } from '../kernel/view-plan.ts'
import type { DefinitionId, EntitySpec, SourceSpec } from '../kernel/view-spec.ts'
import type { LockstepTables } from '../migrations/schema.ts'
import type { Database } from '../runtime/database.ts'
import { sourceRelation } from '../runtime/relation.ts'
import type { Signing } from '../runtime/signing.ts'
import type { FilesSpec } from '../kernel/files-spec.ts'
import { filesName } from '../kernel/files-spec.ts'
import type { StreamSpec } from '../kernel/stream-spec.ts'
import { compileDefinitions } from './compile-definitions.ts'
import type { Definition, DefinitionKey } from './definition.ts'
import { definitionKey, displayName, labelOf, storedDefinitions } from './definition.ts'
import type { ChannelSpec, MonitorSpec } from './monitor-spec.ts'
import type { PipelineSpec } from './pipeline-spec.ts'
import type { ScheduledBatchSpec } from './scheduled-batch-spec.ts'
import type { ExperimentRun } from './experiments/experiment.ts'
import { readRunningExperiments } from './experiments/experiment.ts'
import type { ModelAlias } from './model-aliases.ts'
import { readModelAliases } from './model-aliases.ts'
import type { ModelOperational } from './definition-set.ts'
import type { ModelVersion } from './model-versions.ts'
import { readModelVersions } from './model-versions.ts'
import { readModelPins } from './model-pins.ts'
import { notPushable } from './push-table.ts'
import { readRevision } from './revision.ts'
import type { Rollout } from './rollouts/rollout.ts'
import { readRunningRollouts } from './rollouts/rollout.ts'
import type { Shadow } from './rollouts/shadow.ts'
import { readRunningShadows } from './rollouts/shadow.ts'
import { requireSigned } from './signatures.ts'
import { unknownDefinition } from './unknown-definition.ts'
import type { TrainingSpec } from './trainings/training-spec.ts'
import type { TransformGuard } from './transform-guard.ts'
import { createTransformGuard, offlineGuard } from './transform-guard.ts'
import { storedCode, verifiedCode } from './verified-code.ts'

/**
 * The compiled registry. Training sets and servers use it. It is made only from the stored specs and the stored code. A
 * catalog never changes; load a new one when `catalogRevision` changes.
 *
 * A definition that does not compile, or whose code fails its hash check, is in none of the maps. Looking it up by name
 * throws the reason.
 */
export interface Catalog {
  readonly revision: number
  readonly entities: ReadonlyMap<string, EntitySpec>
  readonly sources: ReadonlyMap<string, SourceSpec>
  /** The stream of a source, by the source's name. */
  readonly streams: ReadonlyMap<string, StreamSpec>
  /** The Parquet files of a source, by the source's name. */
  readonly files: ReadonlyMap<string, FilesSpec>
  readonly views: ReadonlyMap<DefinitionId, ViewPlan>
  /** Stored on-demand views, which are needed to compile a service. */
  readonly onDemand: ReadonlyMap<DefinitionId, OnDemandCode>
  /** The views that are kept in the online store. */
  readonly online: ReadonlySet<DefinitionId>
  /** The online views that have default monitors. */
  readonly watched: ReadonlySet<DefinitionId>
  readonly services: ReadonlyMap<DefinitionId, ServicePlan>
  readonly models: ReadonlyMap<string, CatalogModel>
  readonly channels: ReadonlyMap<string, Watching<ChannelSpec>>
  readonly monitors: ReadonlyMap<string, Watching<MonitorSpec>>
  readonly experiments: ReadonlyMap<string, DeclaredExperiment>
  /** Batches that begin by a schedule. */
  readonly batches: ReadonlyMap<string, Watching<ScheduledBatchSpec>>
  readonly pipelines: ReadonlyMap<string, Watching<PipelineSpec>>
  readonly trainings: ReadonlyMap<string, Watching<TrainingSpec>>
  readonly outcomes: ReadonlyMap<string, OutcomePlan>
  /**
   * Errors of views, on-demand views, services and outcomes that cannot be used, by kind and id: `onDemand
   * flight_context@1`.
   */
  readonly broken: ReadonlyMap<DefinitionKey, LockstepError>
  /**
   * `airport_delays@1`, or `airport_delays` for its newest version. @throws LockstepError `UNKNOWN_DEFINITION`, or why
   * it is broken
   */
  view(reference: string): ViewPlan
  /**
   * `flight_features@1`, or `flight_features` for its newest version. @throws LockstepError `UNKNOWN_DEFINITION`, or
   * why it is broken
   */
  service(reference: string): ServicePlan
  /** @throws LockstepError `UNKNOWN_DEFINITION` */
  model(name: string): CatalogModel
  /** @throws LockstepError `UNKNOWN_DEFINITION`, or why it is broken */
  outcome(name: string): OutcomePlan
  /** @throws LockstepError `UNKNOWN_DEFINITION` */
  experiment(name: string): DeclaredExperiment
  /** @throws LockstepError `UNKNOWN_DEFINITION` */
  pipeline(name: string): Watching<PipelineSpec>
  /** @throws LockstepError `UNKNOWN_DEFINITION` */
  training(name: string): Watching<TrainingSpec>
  /** @throws LockstepError `UNKNOWN_DEFINITION` */
  source(name: string): SourceSpec
  /**
   * A source into which a file may be loaded by `ingest`.
   *
   * @throws LockstepError `UNKNOWN_DEFINITION`; `USAGE` where its rows come from declared Parquet files
   */
  ingestSource(name: string): SourceSpec
  /** Whether events can be pushed to a source. */
  acceptsEvents(source: string): boolean
  /**
   * A source that accepts pushed events.
   *
   * @throws LockstepError `UNKNOWN_DEFINITION`, `NOT_PUSHABLE`
   */
  pushSource(name: string): SourceSpec
  /** The online views that read the table of a source. */
  onlineReaders(source: SourceSpec): ViewPlan[]
}

/** A monitor, a channel, a batch, a pipeline or a training. */
export interface Watching<Spec> {
  readonly spec: Spec
  readonly description: string | null
}

/** An experiment as it is declared. Its running run may be of an older declaration in what may change meanwhile. */
export interface DeclaredExperiment {
  readonly spec: ExperimentSpec
  readonly coverage: number
  readonly description: string | null
}

export interface CatalogModel {
  readonly name: string
  readonly spec: ModelSpec
  readonly operational: ModelOperational
  /** The pushed versions, oldest first, without their bytes (`readModelBytes`). */
  readonly versions: readonly ModelVersion[]
  /** Versions by alias. `champion` is the version that answers requests without a version. */
  readonly aliases: ReadonlyMap<string, ModelAlias>
  /**
   * The version that answers all requests without a version, whatever else is in force; null: the model is not pinned.
   */
  readonly pin: number | null
  /** The running rollout; null: none. */
  readonly rollout: Rollout | null
  /** The running shadow; null: none. */
  readonly shadow: Shadow | null
  /** The running experiments, oldest first. They have disjoint parts of one layer. */
  readonly experiments: readonly ExperimentRun[]
}

/**
 * Reads and compiles the complete registry from one snapshot.
 *
 * @param guard ends transforms that take too long; the default is for background work
 * @throws LockstepError `SIGNATURE_INVALID` if signing keys are set and some content is not signed
 */
export async function loadCatalog(db: Database, guard: TransformGuard = createTransformGuard(offlineGuard)): Promise<Catalog> {
  return await db.kysely
    .transaction()
    .setIsolationLevel('repeatable read')
    .setAccessMode('read only')
    .execute((transaction) => readCatalog(transaction, db.signing, guard))
}

/** The same within a transaction whose registry does not change meanwhile. */
export async function readCatalog(
  transaction: Kysely<LockstepTables>,
  signing: Signing | undefined,
  guard: TransformGuard = createTransformGuard(offlineGuard),
): Promise<Catalog> {
  const definitions = (await storedDefinitions(transaction)).filter((definition) => !definition.retired)
  requireSigned(signing, definitions)
  const stored = {
    revision: await readRevision(transaction),
    definitions,
    code: await storedCode(transaction, definitions),
    versions: await readModelVersions(transaction),
    aliases: await readModelAliases(transaction),
    pins: await readModelPins(transaction),
    rollouts: await readRunningRollouts(transaction),
    shadows: await readRunningShadows(transaction),
    experiments: await readRunningExperiments(transaction),
  }
  const compiled = compileDefinitions(stored.definitions, verifiedCode(stored.code), guard.load)
  const entities = new Map<string, EntitySpec>()
  const sources = new Map<string, SourceSpec>()
  const pushed = new Set<string>()
  const streams = new Map<string, StreamSpec>()
  const files = new Map<string, FilesSpec>()
  const online = new Set<DefinitionId>()
  const watched = new Set<DefinitionId>()
  const models = new Map<string, CatalogModel>()
  const channels = new Map<string, Watching<ChannelSpec>>()
  const monitors = new Map<string, Watching<MonitorSpec>>()
  const experiments = new Map<string, DeclaredExperiment>()
  const batches = new Map<string, Watching<ScheduledBatchSpec>>()
  const pipelines = new Map<string, Watching<PipelineSpec>>()
  const trainings = new Map<string, Watching<TrainingSpec>>()
  for (const definition of stored.definitions) {
    const { name } = definition
    if (definition.kind === 'entity') entities.set(name, definition.spec)
    if (definition.kind === 'source') {
      sources.set(name, definition.spec)
      const { stream, files: declared, push } = definition.operational
      if (stream !== undefined) streams.set(name, stream)
      if (declared !== undefined) files.set(name, declared)
      else if (definition.spec.relation.kind === 'owned' || push === true) pushed.add(name)
    }
    if (definition.kind === 'view' && definition.operational.online === true) {
      online.add(`${name}@${definition.version}`)
      if (definition.operational.monitors !== 'none') watched.add(`${name}@${definition.version}`)
    }
    const { description = null } = definition.operational
    if (definition.kind === 'channel') channels.set(name, { spec: definition.spec, description })
    if (definition.kind === 'monitor') monitors.set(name, { spec: definition.spec, description })
    if (definition.kind === 'batch') batches.set(name, { spec: definition.spec, description })
    if (definition.kind === 'pipeline') pipelines.set(name, { spec: definition.spec, description })
    if (definition.kind === 'training') trainings.set(name, { spec: definition.spec, description })
    if (definition.kind === 'experiment')
      experiments.set(name, { spec: definition.spec, coverage: definition.operational.coverage ?? 1, description })
    if (definition.kind === 'model') {
      models.set(name, {
        name,
        spec: definition.spec,
        operational: definition.operational,
        versions: stored.versions.filter((version) => version.model === name),
        aliases: new Map(stored.aliases.flatMap((each) => (each.model === name ? [[each.alias, each]] : []))),
        pin: stored.pins.get(name) ?? null,
        rollout: stored.rollouts.get(name) ?? null,
        shadow: stored.shadows.get(name) ?? null,
        experiments: stored.experiments.filter((run) => run.model === name),
      })
    }
  }
  const onlineViews = [...online].flatMap((id) => compiled.views.get(id) ?? [])
  const readers = Map.groupBy(onlineViews, ({ spec }) => sourceRelation(spec.source))
  return {
    ...compiled,
    revision: stored.revision,
    entities,
    sources,
    streams,
    files,
    online,
    watched,
    models,
    channels,
    monitors,
    experiments,
    batches,
    pipelines,
    trainings,
    view: (reference) => pick(reference, 'view', definitions, compiled.views, compiled.broken),
    service: (reference) => pick(reference, 'service', definitions, compiled.services, compiled.broken),
    model: (name) => named(name, 'model', definitions, models),
    outcome(name) {
      const error = compiled.broken.get(`outcome ${name}`)
      if (error !== undefined) throw error
      return named(name, 'outcome', definitions, compiled.outcomes)
    },
    experiment: (name) => named(name, 'experiment', definitions, experiments),
    pipeline: (name) => named(name, 'pipeline', definitions, pipelines),
    training: (name) => named(name, 'training', definitions, trainings),
    source: (name) => named(name, 'source', definitions, sources),
    ingestSource(name) {
      const source = named(name, 'source', definitions, sources)
      const declared = files.get(name)
      if (declared === undefined) return source
      throw new LockstepError(
        'USAGE',
        `The rows of the source "${name}" come from the ${filesName(declared)}, so no other file can be loaded into it. Put the file there and run "lockstep source sync ${name}".`,
        { details: { source: name } },
      )
    },
    acceptsEvents: (name) => pushed.has(name),
    onlineReaders: (source) => [...(readers.get(sourceRelation(source)) ?? [])],
    pushSource(name) {
      const source = named(name, 'source', definitions, sources)
      if (pushed.has(name)) return source
      throw notPushable(
        source,
        files.has(name)
          ? 'Its rows come from Parquet files. Put new rows into a new file, or declare another source for pushed events.'
          : source.relation.kind === 'sql'
            ? 'It reads a query. Write to the tables behind it.'
            : 'It reads a table of your own. Add push: true to the source and apply it, or write to that table with SQL.',
      )
    },
  }
}

/** The definition with that id, or the newest one with that name. */
function pick<T>(
  reference: string,
  kind: 'view' | 'service',
  definitions: readonly Definition[],
  sound: ReadonlyMap<DefinitionId, T>,
  broken: ReadonlyMap<DefinitionKey, LockstepError>,
): T {
  // the definitions are sorted by name and version, ascending
  const found = definitions.findLast((each) => each.kind === kind && (each.name === reference || labelOf(each) === reference))
  if (found === undefined) throw unknownDefinition(definitions, kind, reference)
  const plan = sound.get(`${found.name}@${found.version}`)
  if (plan !== undefined) return plan
  throw broken.get(definitionKey(found)) ?? new LockstepError('INTERNAL', `The ${displayName(found)} was not compiled.`)
}

function named<T>(
  reference: string,
  kind: 'model' | 'source' | 'outcome' | 'experiment' | 'pipeline' | 'training',
  definitions: readonly Definition[],
  byName: ReadonlyMap<string, T>,
): T {
  const found = byName.get(reference)
  if (found !== undefined) return found
  throw unknownDefinition(definitions, kind, reference)
}
