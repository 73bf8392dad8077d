import type { Kysely } from 'kysely'
import { sql } from 'kysely'
import { LockstepError } from '../../kernel/errors.ts'
import type { LockstepTables } from '../../migrations/schema.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { sameCode } from '../bundle/expression.ts'
import type { Breakage, Change, ChangePlan, ChangeStatus, StateSize } from './change-plan.ts'
import { checkChannels } from './check-channels.ts'
import { checkMonitors } from './check-monitors.ts'
import { checkReferences } from './check-references.ts'
import { checkStreams } from './check-streams.ts'
import { checkTrainings } from './check-trainings.ts'
import type { CodeTexts, DefinitionComparison } from './compare.ts'
import { compareDefinitions } from './compare.ts'
import type { Definition } from '../definition.ts'
import { currentDefinitions, declaredDefinitions, definitionKey, displayName, kindOrder, labelOf, retiredAmong } from '../definition.ts'
import type { DefinitionSet } from '../load/definition-set.ts'
import { differenceText } from './diff.ts'
import { checkRunning } from '../experiments/check-running.ts'
import type { ExperimentRun } from '../experiments/experiment.ts'
import { readRunningExperiments } from '../experiments/experiment.ts'
import { readModelAliases } from '../models/model-aliases.ts'
import { readModelPins } from '../models/model-pins.ts'
import { readRunningRollouts } from '../rollouts/rollout.ts'
import type { LogShares } from '../../runtime/settings/log-shares.ts'
import { logNothing } from '../../runtime/settings/log-shares.ts'
import { readRunningShadows } from '../rollouts/shadow.ts'
import { readModelVersions } from '../models/model-versions.ts'
import { lostColumnNotes } from './lost-column-notes.ts'
import type { TableChange } from './owned-table.ts'
import type { ModelsPlan, PushedVersions } from './plan-models.ts'
import { planModels } from './plan-models.ts'
import { prunable } from './prunable.ts'
import { planBackfills, viewsToFill, viewsToRebuild } from './plan-backfills.ts'
import { batchNotes, modelNotes, nameNotes, outcomeNotes, scaleNotes, unexportedNotes } from './plan-notes.ts'
import { planSources } from './plan-sources.ts'
import type { SourceReader } from './source-readers.ts'
import { experimentReaders, outcomeReaders } from './source-readers.ts'
import { readRevision } from '../revision.ts'
import { summaryOf } from '../summary.ts'
import type { ModelUse } from './usage.ts'
import { modelUses, usersByDefinition } from './usage.ts'
import { storedCode } from '../verified-code.ts'
import { compileDefinitions } from '../compile-definitions.ts'
import { tieOfColumns, tieOfIdentity } from '../../kernel/states/greatest-bytes.ts'
import { stateBytes } from '../../kernel/states/state-bytes.ts'
import { definitionId } from '../../kernel/specs/view-spec.ts'
import type { DescribedTable } from './source-table.ts'

export interface PlanOptions {
  /** Whether to remove definitions that are in the registry but not in the file. */
  readonly prune?: boolean
  /** Whether changes may break served model versions. */
  readonly breakModels?: boolean
  /** Whether channels of alerts, and webhooks of rollouts, may have private addresses. */
  readonly privateAddresses?: boolean
  /** Whether a definition may change under its version, and one may go although a model version was pushed for it. */
  readonly replace?: boolean
  /** Which predictions are logged, as far as this process knows. Default: none. */
  readonly logShares?: LogShares
}

/**
 * Computes what `applyChanges` would do. It reads the registry and the sources' tables and writes nothing.
 *
 * @returns the plan; `problems` has every reason for which `apply` would refuse the file
 */
export async function planChanges(db: Database, set: DefinitionSet, options: PlanOptions = {}): Promise<ChangePlan> {
  return (await planOn(db.kysely, set, options)).plan
}

const noModels: ModelsPlan = { breaks: [], problems: [], notes: [] }

/** Makes the plan on a given connection or transaction, and returns it with its inputs. */
export async function planOn(
  handle: Kysely<LockstepTables>,
  set: DefinitionSet,
  { prune = false, breakModels = false, replace = false, privateAddresses = false, logShares = logNothing }: PlanOptions,
): Promise<{
  readonly plan: ChangePlan
  readonly comparisons: readonly DefinitionComparison[]
  readonly removed: readonly Definition[]
  readonly tables: readonly TableChange[]
  readonly running: readonly ExperimentRun[]
}> {
  const revision = await readRevision(handle)
  const declared = declaredDefinitions(set)
  const stored = await currentDefinitions(handle)
  const known = [...stored, ...(await retiredAmong(handle, declared))]
  const storedByKey = new Map(known.map((definition) => [definitionKey(definition), definition]))
  const code = { declared: set.code, stored: await storedCode(handle, known) }
  const comparisons = await compareDefinitions(declared, storedByKey, code, sameCode)
  const conflicts = replace ? [] : comparisons.filter(isConflict)
  const uses = await modelUses(handle)
  const running = await readRunningExperiments(handle)
  const absent = missingFrom(declared, stored)
  const { removed, kept } = prune ? removable(absent, declared, replace ? [] : uses, running) : { removed: [], kept: [] }
  const left = absent.filter((definition) => !removed.includes(definition))
  const sources = await planSources(
    handle,
    set,
    left.flatMap(readersIn),
    left.flatMap((each) => (each.kind === 'entity' ? [each.spec] : [])),
  )
  const unknown = checkReferences(declared, storedByKey)
  const uncompiled = unknown.length > 0 ? [] : checkCompiles(declared, stored, code)
  const served =
    unknown.length + uncompiled.length > 0 ? noModels : planModels(comparisons, left, removed, await readPushed(handle, running), code)
  const nextVersion = await freeVersions(handle, conflicts, declared)
  const changes = [
    ...comparisons.map((each) => (conflicts.includes(each) ? conflictChange(each, nextVersion(each.declared)) : changeOf(each))),
    ...absent.map((definition) => change(definition, removed.includes(definition) ? 'removed' : 'absent', [])),
  ]
  const arrivals = recordingArrivals(sources.tables)
  const waiting = [...viewsToFill(comparisons, changes, arrivals), ...viewsToRebuild(left, arrivals)]
  const backfills = await planBackfills(handle, waiting, sources.found)
  const plan: ChangePlan = {
    file: set.file,
    revision,
    changes,
    tables: sources.tables.filter((table) => table.kind !== 'none'),
    backfills,
    states: stateSizes(set, sources.found),
    breaks: [...breakages([...declared, ...absent], conflicts, removed, uses), ...served.breaks],
    kept,
    notes: [
      ...unexportedNotes(set),
      ...sources.notes,
      ...lostColumnNotes(declared, left),
      ...nameNotes(comparisons, stored, removed, backfills),
      ...modelNotes(comparisons, uses),
      ...outcomeNotes(comparisons, logShares),
      ...scaleNotes(comparisons),
      ...batchNotes(declared, sources.found),
      ...served.notes,
    ],
    problems: [
      ...unknown,
      ...uncompiled,
      ...conflicts.map((each) => versionChanged(each, nextVersion(each.declared))),
      ...checkRunning(comparisons, running),
      ...sources.problems,
      ...checkStreams([...declared, ...left]),
      ...(privateAddresses ? [] : checkChannels(declared)),
      ...checkTrainings(declared, left, privateAddresses),
      ...(unknown.length > 0 ? [] : await checkMonitors(handle, declared)),
      ...(breakModels ? [] : served.problems),
    ],
  }
  return { plan, comparisons, removed, tables: sources.tables, running }
}

/** The stored definitions that the file does not have. */
function missingFrom(declared: readonly Definition[], stored: readonly Definition[]): Definition[] {
  const keys = new Set(declared.map(definitionKey))
  return stored.filter((definition) => !keys.has(definitionKey(definition)))
}

/** What pruning removes, and what it keeps. Only versions of models in the file keep what they were pushed for. */
function removable(
  absent: readonly Definition[],
  declared: readonly Definition[],
  uses: readonly ModelUse[],
  running: readonly ExperimentRun[],
) {
  const models = new Set(declared.filter(({ kind }) => kind === 'model').map(({ name }) => name))
  return prunable(
    absent,
    declared,
    uses.filter(({ model }) => models.has(model)),
    running,
  )
}

async function readPushed(handle: Kysely<LockstepTables>, experiments: readonly ExperimentRun[]): Promise<PushedVersions> {
  return {
    versions: await readModelVersions(handle),
    aliases: await readModelAliases(handle),
    pins: await readModelPins(handle),
    rollouts: await readRunningRollouts(handle),
    shadows: await readRunningShadows(handle),
    experiments,
  }
}

/** The tables that begin to record arrivals. */
function recordingArrivals(tables: readonly TableChange[]): Set<string> {
  return new Set(tables.flatMap(({ relation, columns }) => (columns.includes('_row') || columns.includes('_xid') ? [relation] : [])))
}

function readersIn(definition: Definition): SourceReader[] {
  switch (definition.kind) {
    case 'view':
      return [definition.spec]
    case 'outcome':
      return outcomeReaders(definition.spec)
    case 'experiment':
      return experimentReaders(definition.spec)
    default:
      return []
  }
}

/** Whether a definition changed under its version. */
function isConflict({ declared, stored, semantic }: DefinitionComparison): boolean {
  return stored !== null && semantic.length > 0 && declared.version > 0
}

function conflictChange({ declared, semantic }: DefinitionComparison, nextVersion: number): Change {
  return { ...change(declared, 'conflict', semantic), nextVersion }
}

function changeOf({ declared, stored, semantic, operational }: DefinitionComparison): Change {
  if (stored === null) return change(declared, 'added', [])
  const found = [...semantic, ...operational]
  if (stored.retired) return change(declared, 'revived', found)
  return change(declared, found.length > 0 ? 'changed' : 'unchanged', found)
}

function change(definition: Definition, status: ChangeStatus, differences: Change['differences']): Change {
  const { kind, name, version } = definition
  return { kind, name, version, label: labelOf({ name, version }), status, summary: summaryOf(definition), differences }
}

/** The next version that is free, in the registry (also of what is retired) and in the file. */
async function freeVersions(
  handle: Kysely<LockstepTables>,
  conflicts: readonly DefinitionComparison[],
  declared: readonly Definition[],
): Promise<(definition: Pick<Definition, 'kind' | 'name'>) => number> {
  const [kinds, names] = [conflicts.map((each) => each.declared.kind), conflicts.map((each) => each.declared.name)]
  const stored = await handle
    .selectFrom('lockstep.definitions')
    .select(['kind', 'name', 'version'])
    .where(sql<boolean>`(kind, name) in (select * from unnest(${kinds}::text[], ${names}::text[]))`)
    .execute()
  return (definition) =>
    Math.max(
      ...[...declared, ...stored]
        .filter(({ kind, name }) => kind === definition.kind && name === definition.name)
        .map(({ version }) => version),
    ) + 1
}

function versionChanged({ declared, semantic }: DefinitionComparison, next: number): LockstepError {
  const what = semantic.map((each) => `\n    ${differenceText(each)}`).join('')
  return new LockstepError(
    'VERSION_CHANGED',
    `The ${displayName(declared)} is in the registry and differs from the file:${what}\n  A version never changes: give the new definition "version: ${next}" (the old one stays until it is pruned), or restore the old definition.`,
    { details: { kind: declared.kind, definition: labelOf(declared), differences: semantic, nextVersion: next } },
  )
}

function breakages(
  definitions: readonly Definition[],
  conflicts: readonly DefinitionComparison[],
  removed: readonly Definition[],
  uses: readonly ModelUse[],
): Breakage[] {
  const users = usersByDefinition(definitions, uses)
  const gone = new Set(removed.map(displayName))
  return [...conflicts.map(({ declared }) => declared), ...removed].flatMap((definition) =>
    [...(users.get(definitionKey(definition)) ?? [])]
      .filter((broken) => !gone.has(broken))
      .map((broken) => ({ cause: displayName(definition), broken })),
  )
}

/**
 * Compiles the declared definitions, with the stored ones that they refer to, as a server would. Returns the errors.
 */
function checkCompiles(declared: readonly Definition[], stored: readonly Definition[], code: CodeTexts): LockstepError[] {
  const all = [...declared, ...missingFrom(declared, stored)]
  const { broken } = compileDefinitions(
    all.toSorted((a, b) => kindOrder.indexOf(a.kind) - kindOrder.indexOf(b.kind)),
    { textOf: (hash) => code.declared.get(hash) ?? code.stored.get(hash) ?? '' },
  )
  const errors = declared.map((definition) => broken.get(definitionKey(definition))).filter((error) => error !== undefined)
  // a definition that refers to a broken one reports the same error
  return [...new Set(errors)]
}

/** The maximum state size of one entity, for each online windowed view whose source can be read. */
function stateSizes(set: DefinitionSet, found: ReadonlyMap<string, DescribedTable>): StateSize[] {
  return set.views.flatMap(({ spec, operational }): StateSize[] => {
    const table = found.get(spec.source.name)
    if (table === undefined || !operational.online || !spec.features.some(({ kind }) => kind === 'window')) return []
    const hasRow = spec.source.relation.kind === 'owned' || table.columns.get('_row')?.base === 'int8'
    const tie = hasRow ? tieOfIdentity : tieOfColumns(spec.source.columns.map(({ type }) => type))
    return [{ view: definitionId(spec), maxStateBytes: operational.maxStateBytes ?? null, ...stateBytes(spec, tie) }]
  })
}
