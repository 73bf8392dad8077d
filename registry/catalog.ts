import type { Kysely } from 'kysely'
import { LockstepError } from '../kernel/errors.ts'
import type { OutcomePlan } from '../kernel/compile-outcome.ts'
import type { OnDemandCode } from '../kernel/on-demand-step.ts'
import type { ServicePlan } from '../kernel/service-plan.ts'
import type { ModelSpec } from '../kernel/specs/service-spec.ts'
import type { ViewPlan } from '../kernel/view-plan.ts'
import type { DefinitionId, SourceSpec } from '../kernel/specs/view-spec.ts'
import type { LockstepTables } from '../migrations/schema.ts'
import type { Database } from '../runtime/postgres/database.ts'
import { sourceRelation } from '../runtime/postgres/relation.ts'
import type { Signing } from '../runtime/signing.ts'
import { filesName } from '../kernel/specs/files-spec.ts'
import { compileDefinitions } from './compile-definitions.ts'
import type { Declared, DeclaredExperiment, Watching } from './load/declared.ts'
import { declaredByName } from './load/declared.ts'
import type { Definition, DefinitionKey } from './definition.ts'
import { definitionKey, displayName, labelOf, currentDefinitions } from './definition.ts'
import type { ExperimentRun } from './experiments/experiment.ts'
import { readRunningExperiments } from './experiments/experiment.ts'
import type { ModelAlias } from './models/model-aliases.ts'
import { readModelAliases } from './models/model-aliases.ts'
import type { ModelOperational } from './load/definition-set.ts'
import type { ModelVersion } from './models/model-versions.ts'
import { readModelVersions } from './models/model-versions.ts'
import { readModelPins } from './models/model-pins.ts'
import type { PipelineSpec } from './pipeline-spec.ts'
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
export interface Catalog extends Omit<Declared, 'pushed'> {
  readonly revision: number
  readonly views: ReadonlyMap<DefinitionId, ViewPlan>
  /** Stored on-demand views, which are needed to compile a service. */
  readonly onDemand: ReadonlyMap<DefinitionId, OnDemandCode>
  readonly services: ReadonlyMap<DefinitionId, ServicePlan>
  readonly models: ReadonlyMap<string, CatalogModel>
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
  const definitions = await currentDefinitions(transaction)
  requireSigned(signing, definitions)
  const revision = await readRevision(transaction)
  const code = await storedCode(transaction, definitions)
  const models = await readModels(transaction, definitions)
  const compiled = compileDefinitions(definitions, verifiedCode(code), guard.load)
  const { pushed, ...declared } = declaredByName(definitions)
  const { sources, files, experiments, pipelines, trainings } = declared
  const onlineViews = [...declared.online].flatMap((id) => compiled.views.get(id) ?? [])
  const readers = Map.groupBy(onlineViews, ({ spec }) => sourceRelation(spec.source))
  return {
    ...compiled,
    ...declared,
    revision,
    models,
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
      const own = files.get(name)
      if (own === undefined) return source
      throw new LockstepError(
        'USAGE',
        `The rows of the source "${name}" come from the ${filesName(own)}, so no other file can be loaded into it. Put the file there and run "lockstep source sync ${name}".`,
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

async function readModels(
  transaction: Kysely<LockstepTables>,
  definitions: readonly Definition[],
): Promise<ReadonlyMap<string, CatalogModel>> {
  const versions = await readModelVersions(transaction)
  const aliases = await readModelAliases(transaction)
  const pins = await readModelPins(transaction)
  const rollouts = await readRunningRollouts(transaction)
  const shadows = await readRunningShadows(transaction)
  const experiments = await readRunningExperiments(transaction)
  const models = new Map<string, CatalogModel>()
  for (const definition of definitions) {
    if (definition.kind !== 'model') continue
    const { name, spec, operational } = definition
    models.set(name, {
      name,
      spec,
      operational,
      versions: versions.filter((version) => version.model === name),
      aliases: new Map(aliases.flatMap((each) => (each.model === name ? [[each.alias, each]] : []))),
      pin: pins.get(name) ?? null,
      rollout: rollouts.get(name) ?? null,
      shadow: shadows.get(name) ?? null,
      experiments: experiments.filter((run) => run.model === name),
    })
  }
  return models
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
