import { randomBytes } from 'node:crypto'
import type { Kysely } from 'kysely'
import { sql } from 'kysely'
import { LockstepError } from '../../kernel/errors.ts'
import type { ExperimentSpec } from '../../kernel/specs/experiment-spec.ts'
import type { LockstepTables } from '../../migrations/schema.ts'
import type { Actor } from '../../runtime/audit.ts'
import { recordAudit } from '../../runtime/audit.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { reslice } from '../../statistics/assign.ts'
import type { Catalog } from '../catalog.ts'
import { loadCatalog } from '../catalog.ts'
import type { ChangeOptions } from '../change-transaction.ts'
import { changeCatalog } from '../change-transaction.ts'
import type { LoadedOn, LoadOnServersOptions } from '../models/load-on-servers.ts'
import { loadOnServers } from '../models/load-on-servers.ts'
import { championAlias } from '../models/model-aliases.ts'
import { pickVersion } from '../models/pick-version.ts'
import { requireServable } from '../models/require-servable.ts'
import { checkTrainedOn, trainingSetOf } from '../models/trained-features.ts'
import { pinNotes } from '../rollouts/rollout-transaction.ts'
import type { VariantVersions } from './check-experiment.ts'
import { checkMetricSources, checkVariants } from './check-experiment.ts'
import type { ExperimentRun } from './experiment.ts'
import { readLastRun, runOf } from './experiment.ts'

export interface ExperimentChange {
  readonly experiment: ExperimentRun
  /** What the user should know, one sentence each. */
  readonly notes: readonly string[]
  /** The registry's revision afterwards. */
  readonly revision: number
  /** For a start: how many servers were asked to load the variants, and how many loaded all of them. */
  readonly servers?: LoadedOn
}

export interface ExperimentStart {
  /** Starts it even if a version was trained on other features than it is served with. */
  readonly datasetMismatch?: boolean | undefined
}

/**
 * Starts a declared experiment: from then on its units get its variants. All servers load the versions first. Each
 * start is a new run with a new salt.
 *
 * @throws LockstepError `UNKNOWN_DEFINITION`; `IN_USE` where it runs, or overlaps with another one; `NOT_PROMOTABLE`
 *   where a variant cannot be served; `INVALID_REQUEST` where requests lack a field; `DATASET_MISMATCH`;
 *   `SOURCE_MISSING` and what else is wrong with a source of its metrics
 */
export async function startExperiment(
  db: Database,
  name: string,
  { datasetMismatch = false }: ExperimentStart,
  by: Actor,
  options: Omit<LoadOnServersOptions, 'untried'> & ChangeOptions = {},
): Promise<ExperimentChange> {
  const catalog = await loadCatalog(db)
  const { spec } = catalog.experiment(name)
  const versions = checkVariants(catalog, spec)
  await checkMetricSources(db.kysely, catalog, spec)
  await checkFeatures(db.kysely, catalog, spec, versions, datasetMismatch)
  const servers = await loadAll(db, spec.model, versions, catalog.revision, options)
  options.signal?.throwIfAborted()
  const change = await changeCatalog(db, options, async (now, transaction) => {
    const declared = now.experiment(name)
    const current = checkVariants(now, declared.spec)
    if (JSON.stringify(current) !== JSON.stringify(versions)) throw changedMeanwhile(name)
    const weights = Object.fromEntries(declared.spec.variants.map((variant) => [variant.name, variant.weight]))
    const row = await transaction
      .insertInto('lockstep.experiments')
      .values({
        name,
        model: declared.spec.model,
        spec: JSON.stringify(declared.spec),
        state: 'running',
        salt: randomBytes(8).toString('hex'),
        coverage: declared.coverage,
        variants: JSON.stringify(current),
        slices: JSON.stringify(reslice([], weights)),
        started_by: by.actor,
      })
      .returningAll()
      .executeTakeFirstOrThrow()
    const run = runOf(row)
    await recordAudit({ kysely: transaction }, by, { action: 'experiment.start', subject: name, after: stateOf(run) })
    return { experiment: run, notes: startNotes(now, run) }
  })
  return { ...change, servers }
}

/**
 * Stops a running experiment: its units are routed as all others. Its exposures stay, and units that are in go on to
 * mature.
 *
 * @throws LockstepError `UNKNOWN_DEFINITION`, also if it does not run
 */
export async function stopExperiment(db: Database, name: string, by: Actor, options: ChangeOptions = {}): Promise<ExperimentChange> {
  return await changeCatalog(db, options, async (catalog, transaction) => {
    const before = await runningRun(catalog, transaction, name)
    const row = await transaction
      .updateTable('lockstep.experiments')
      .set({ state: 'stopped', stopped_at: sql<Date>`now()`, stopped_by: by.actor, stop_reason: by.reason ?? null })
      .where('id', '=', String(before.id))
      .returningAll()
      .executeTakeFirstOrThrow()
    const run = runOf(row)
    const states = { before: stateOf(before), after: stateOf(run) }
    await recordAudit({ kysely: transaction }, by, { action: 'experiment.stop', subject: name, ...states })
    return { experiment: run, notes: [] }
  })
}

async function checkFeatures(
  handle: Kysely<LockstepTables>,
  catalog: Catalog,
  { name, model: modelName }: ExperimentSpec,
  versions: VariantVersions,
  allowed: boolean,
): Promise<void> {
  const model = catalog.model(modelName)
  const champion = model.aliases.get(championAlias)?.version
  for (const version of new Set(Object.values(versions))) {
    const picked = pickVersion(model, version)
    const dataset = version === champion ? null : await trainingSetOf(handle, picked)
    if (dataset === null) continue
    const { binding } = requireServable(catalog, model, version, `the experiment "${name}" was not started`)
    const served = { model: modelName, service: picked.service, serviceFingerprint: picked.serviceFingerprint, binding }
    const allow = 'start it with --dataset-mismatch, or "datasetMismatch": true over HTTP'
    await checkTrainedOn(handle, dataset, served, { allowed, allow })
  }
}

async function loadAll(
  db: Database,
  model: string,
  versions: VariantVersions,
  revision: number,
  options: LoadOnServersOptions,
): Promise<LoadedOn> {
  let all: LoadedOn = { asked: 0, loaded: 0 }
  for (const version of new Set(Object.values(versions))) {
    const each = await loadOnServers(db, model, { version, revision }, options)
    all = { asked: Math.max(all.asked, each.asked), loaded: all.asked === 0 ? each.loaded : Math.min(all.loaded, each.loaded) }
  }
  return all
}

function startNotes(catalog: Catalog, { spec, versions, coverage }: ExperimentRun): string[] {
  const model = catalog.model(spec.model)
  const { name, rollout } = model
  const aliased = spec.variants.filter(({ serves }) => typeof serves === 'string')
  const served = [...new Set(Object.values(versions))]
  return [
    ...aliased.map(
      (variant) =>
        `The variant "${variant.name}" serves version ${versions[variant.name]} until the experiment ends, whatever "${variant.serves}" points at meanwhile.`,
    ),
    ...(served.length === 1 ? [`All variants serve version ${served[0]}: this is an A/A test.`] : []),
    ...(rollout === null
      ? []
      : [
          `The rollout of ${name}@${rollout.version} gets only units that are not in the experiment${coverage === 1 ? ', which are none: its plan waits' : ''}.`,
        ]),
    ...pinNotes(model),
  ]
}

async function runningRun(catalog: Catalog, transaction: Kysely<LockstepTables>, name: string): Promise<ExperimentRun> {
  const running = [...catalog.models.values()].flatMap(({ experiments }) => experiments).find((run) => run.name === name)
  if (running !== undefined) return running
  const last = await readLastRun(transaction, name)
  if (last === null) catalog.experiment(name)
  throw new LockstepError(
    'UNKNOWN_DEFINITION',
    `The experiment "${name}" does not run: it ${last === null ? 'was never started' : `is ${last.state}`}. Start it: lockstep experiment start ${name}.`,
    { details: { experiment: name } },
  )
}

function changedMeanwhile(name: string): LockstepError {
  return new LockstepError(
    'NOT_PROMOTABLE',
    `The experiment "${name}" was not started: its definition, or an alias that a variant serves, changed while servers loaded the versions. Start it again.`,
    { details: { experiment: name } },
  )
}

function stateOf({ id, model, versions, coverage, slices, salt, state, stopReason }: ExperimentRun): object {
  return { id, model, versions, coverage, slices, salt, state, ...(stopReason === null ? {} : { stopReason }) }
}
