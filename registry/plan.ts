import { basename } from 'node:path'
import type { Kysely } from 'kysely'
import { LockstepError } from '../kernel/errors.ts'
import type { LockstepTables } from '../migrations/schema.ts'
import type { Database } from '../runtime/database.ts'
import { sourceRelation } from '../runtime/relation.ts'
import { sameCode } from './bundle/expression.ts'
import type { Backfill, Breakage, Change, ChangePlan, ChangeStatus, StateSize } from './change-plan.ts'
import { checkChannels } from './check-channels.ts'
import { checkMonitors } from './check-monitors.ts'
import { checkReferences } from './check-references.ts'
import { checkStreams } from './check-streams.ts'
import type { CodeTexts, Comparison } from './compare.ts'
import { compareDefinitions } from './compare.ts'
import type { Definition } from './definition.ts'
import { declaredDefinitions, definitionKey, displayName, kindNames, kindOrder, labelOf, storedDefinitions } from './definition.ts'
import type { DefinitionSet } from './definition-set.ts'
import { differenceText } from './diff.ts'
import { checkRunning } from './experiments/check-running.ts'
import type { ExperimentRun } from './experiments/experiment.ts'
import { readRunningExperiments } from './experiments/experiment.ts'
import { readModelAliases } from './model-aliases.ts'
import { readModelPins } from './model-pins.ts'
import { readRunningRollouts } from './rollouts/rollout.ts'
import type { LogShares } from '../runtime/log-shares.ts'
import { logNothing, shareOf } from '../runtime/log-shares.ts'
import { readRunningShadows } from './rollouts/shadow.ts'
import { readModelVersions } from './model-versions.ts'
import type { TableChange } from './owned-table.ts'
import type { ModelsPlan } from './plan-models.ts'
import { planModels } from './plan-models.ts'
import { prunable } from './prunable.ts'
import type { SourceReader, ViewToFill } from './plan-sources.ts'
import { experimentReaders, outcomeReaders, planBackfills, planSources } from './plan-sources.ts'
import { readRevision } from './revision.ts'
import { summaryOf } from './summary.ts'
import type { ModelUse } from './usage.ts'
import { modelUses, usersOf } from './usage.ts'
import { storedCode } from './verified-code.ts'
import { compileDefinitions } from './compile-definitions.ts'
import { tieOfColumns, tieOfIdentity } from '../kernel/greatest-bytes.ts'
import { stateBytes } from '../kernel/state-bytes.ts'
import { definitionId } from '../kernel/view-spec.ts'
import type { SourceTable } from './source-table.ts'

export interface PlanOptions {
  /** Whether to remove definitions that are in the registry but not in the file. */
  readonly prune?: boolean
  /** Whether changes may break served model versions. */
  readonly breakModels?: boolean
  /** Whether channels of alerts may have private addresses. */
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
  readonly comparisons: readonly Comparison[]
  readonly removed: readonly Definition[]
  readonly tables: readonly TableChange[]
  readonly running: readonly ExperimentRun[]
}> {
  const revision = await readRevision(handle)
  const stored = await storedDefinitions(handle)
  const storedByKey = new Map(stored.map((definition) => [definitionKey(definition), definition]))
  const declared = declaredDefinitions(set)
  const declaredKeys = new Set(declared.map(definitionKey))
  const absent = stored.filter((definition) => !definition.retired && !declaredKeys.has(definitionKey(definition)))
  const code = { declared: set.code, stored: await storedCode(handle, stored) }
  const comparisons = await compareDefinitions(declared, storedByKey, code, sameCode)
  const uses = await modelUses(handle)
  const running = await readRunningExperiments(handle)
  const models = new Set(declared.filter(({ kind }) => kind === 'model').map(({ name }) => name))
  const { removed, kept } = prune
    ? prunable(absent, declared, replace ? [] : uses.filter(({ model }) => models.has(model)), running)
    : { removed: [], kept: [] }
  const left = absent.filter((definition) => !removed.includes(definition))
  const staying = left.flatMap(readersIn)
  const sources = await planSources(handle, set, staying)
  const unknown = checkReferences(declared, storedByKey)
  const uncompiled =
    unknown.length > 0
      ? []
      : checkCompiles(
          declared,
          stored.filter((definition) => !definition.retired),
          code,
        )
  const pushed = {
    versions: await readModelVersions(handle),
    aliases: await readModelAliases(handle),
    pins: await readModelPins(handle),
    rollouts: await readRunningRollouts(handle),
    shadows: await readRunningShadows(handle),
    experiments: running,
  }
  const served = unknown.length + uncompiled.length > 0 ? noModels : planModels(comparisons, left, removed, pushed, code)
  const nextVersions = freeVersions([...declared, ...stored])
  const changes = [
    ...comparisons.map((each) => {
      const found = changeOf(each, replace)
      return found.status === 'conflict' ? { ...found, nextVersion: nextVersions(found) } : found
    }),
    ...absent.map((definition) => change(definition, removed.includes(definition) ? 'removed' : 'absent', [])),
  ]
  const arrivals = new Set(
    sources.tables.flatMap(({ relation, columns }) => (columns.includes('_row') || columns.includes('_xid') ? [relation] : [])),
  )
  const waiting = [...viewsToFill(comparisons, changes, arrivals), ...viewsToRebuild(left, arrivals)]
  const online = await planBackfills(handle, waiting, sources.found)
  const plan: ChangePlan = {
    file: set.file,
    revision,
    changes,
    tables: sources.tables.filter((table) => table.kind !== 'none'),
    backfills: online,
    states: stateSizes(set, sources.found),
    breaks: [...breakages([...declared, ...absent], replace ? [] : comparisons, removed, uses), ...served.breaks],
    kept,
    notes: [
      ...unexportedNotes(set),
      ...sources.notes,
      ...nameNotes(comparisons, stored, online),
      ...modelNotes(comparisons, uses),
      ...outcomeNotes(comparisons, logShares),
      ...served.notes,
    ],
    problems: [
      ...unknown,
      ...uncompiled,
      ...comparisons
        .filter((each) => changeOf(each, replace).status === 'conflict')
        .map((each) => conflict(each, nextVersions(each.declared))),
      ...checkRunning(comparisons, running),
      ...sources.problems,
      ...checkStreams([...declared, ...left]),
      ...(privateAddresses ? [] : checkChannels(declared)),
      ...(unknown.length > 0 ? [] : await checkMonitors(handle, declared)),
      ...(breakModels ? [] : served.problems),
    ],
  }
  return { plan, comparisons, removed, tables: sources.tables, running }
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

function changeOf({ declared, stored, semantic, operational }: Comparison, replace: boolean): Change {
  if (stored === null) return change(declared, 'added', [])
  if (semantic.length > 0 && declared.version > 0 && !replace) return change(declared, 'conflict', semantic)
  const found = [...semantic, ...operational]
  if (stored.retired) return change(declared, 'revived', found)
  return change(declared, found.length > 0 ? 'changed' : 'unchanged', found)
}

function change(definition: Definition, status: ChangeStatus, differences: Change['differences']): Change {
  const { kind, name, version } = definition
  return { kind, name, version, label: labelOf({ name, version }), status, summary: summaryOf(definition), differences }
}

/** The next version that is free, in the registry (also of what is retired) and in the file. */
function freeVersions(all: readonly Definition[]): (definition: Pick<Definition, 'kind' | 'name'>) => number {
  return (definition) =>
    Math.max(...all.filter(({ kind, name }) => kind === definition.kind && name === definition.name).map(({ version }) => version)) + 1
}

function conflict({ declared, semantic }: Comparison, next: number): LockstepError {
  const what = semantic.map((each) => `\n    ${differenceText(each)}`).join('')
  return new LockstepError(
    'VERSION_CHANGED',
    `The ${displayName(declared)} is in the registry and differs from the file:${what}\n  A version never changes: give the new definition "version: ${next}" (the old one stays until it is pruned), or restore the old definition.`,
    { details: { kind: declared.kind, definition: labelOf(declared), differences: semantic, nextVersion: next } },
  )
}

/**
 * @param changes with the next version of each view whose version must be raised
 * @param arrivals the tables that begin to record arrivals
 */
function viewsToFill(comparisons: readonly Comparison[], changes: readonly Change[], arrivals: ReadonlySet<string>): ViewToFill[] {
  const raised = new Map(changes.map((each) => [definitionKey(each), each.nextVersion]))
  return comparisons.flatMap(({ declared, stored }) => {
    if (declared.kind !== 'view' || declared.operational.online !== true) return []
    const version = raised.get(definitionKey(declared))
    if (version !== undefined) return [{ view: { ...declared.spec, version }, reason: 'its version must be raised' }]
    const known = stored !== null && !stored.retired
    if (known && stored.operational.online === true) return viewsToRebuild([declared], arrivals)
    return [{ view: declared.spec, reason: known ? 'the view becomes online' : 'the view is new' }]
  })
}

/** The stored views whose rows get another order. */
function viewsToRebuild(stored: readonly Definition[], arrivals: ReadonlySet<string>): ViewToFill[] {
  return stored.flatMap((definition) =>
    definition.kind === 'view' && definition.operational.online === true && arrivals.has(sourceRelation(definition.spec.source))
      ? [{ view: definition.spec, reason: 'its table records arrivals' }]
      : [],
  )
}

function breakages(
  definitions: readonly Definition[],
  comparisons: readonly Comparison[],
  removed: readonly Definition[],
  uses: readonly ModelUse[],
): Breakage[] {
  const users = usersOf(definitions, uses)
  const gone = new Set(removed.map(displayName))
  const conflicts = comparisons.filter((each) => changeOf(each, false).status === 'conflict').map((each) => each.declared)
  return [...conflicts, ...removed].flatMap((definition) =>
    [...(users.get(definitionKey(definition)) ?? [])]
      .filter((broken) => !gone.has(broken))
      .map((broken) => ({ cause: displayName(definition), broken })),
  )
}

function unexportedNotes({ file, unexported = [] }: DefinitionSet): string[] {
  if (unexported.length === 0) return []
  const what =
    unexported.length === 1
      ? 'is not exported and not used by an export, so it is'
      : 'are not exported and not used by an export, so they are'
  return [`${unexported.join(', ')} in ${basename(file)} ${what} left out; write export const …`]
}

/** The versions that answer requests without a version until the new ones are materialized. */
function nameNotes(comparisons: readonly Comparison[], stored: readonly Definition[], online: readonly Backfill[]): string[] {
  if (online.length === 0) return []
  return comparisons.flatMap(({ declared, stored: same }) => {
    if (declared.kind !== 'service' || (same !== null && !same.retired)) return []
    const before = stored.findLast(
      ({ kind, name, version, retired }) => kind === 'service' && name === declared.name && version < declared.version && !retired,
    )
    if (before === undefined) return []
    return [
      `Requests for "${declared.name}" without a version use "${labelOf(before)}" until the online store holds all views of "${labelOf(declared)}", and then that one. To prevent that, name the version in requests.`,
    ]
  })
}

function modelNotes(comparisons: readonly Comparison[], uses: readonly ModelUse[]): string[] {
  return comparisons.flatMap(({ declared }) => {
    if (declared.kind !== 'model') return []
    const older = uses.filter((use) => use.model === declared.name && use.service !== `service ${declared.spec.service}`)
    if (older.length === 0) return []
    const versions = older.map((use) => `${use.version} (${use.service.slice('service '.length)})`).join(', ')
    return [
      `The model "${declared.name}" takes the ${kindNames.service} "${declared.spec.service}"; its pushed versions keep the one that they were pushed for: ${versions}.`,
    ]
  })
}

/** Outcomes are matched with logged predictions, and by default none is logged. */
function outcomeNotes(comparisons: readonly Comparison[], logShares: LogShares): string[] {
  const added = comparisons.flatMap(({ declared, stored }) =>
    declared.kind === 'outcome' && (stored === null || stored.retired) && shareOf(logShares, declared.spec.model) < 1
      ? [declared.spec]
      : [],
  )
  return [...Map.groupBy(added, ({ model }) => model)].map(([model, outcomes]) => {
    const names = outcomes.map(({ name }) => `"${name}"`).join(', ')
    return `Set LOCKSTEP_LOG_PREDICTIONS=${model}=1 for the servers: the ${outcomes.length === 1 ? 'outcome' : 'outcomes'} ${names} can only judge logged predictions.`
  })
}

/**
 * Compiles the declared definitions, with the stored ones that they refer to, as a server would. Returns the errors.
 */
function checkCompiles(declared: readonly Definition[], stored: readonly Definition[], code: CodeTexts): LockstepError[] {
  const keys = new Set(declared.map(definitionKey))
  const all = [...declared, ...stored.filter((definition) => !keys.has(definitionKey(definition)))]
  const { broken } = compileDefinitions(
    all.toSorted((a, b) => kindOrder.indexOf(a.kind) - kindOrder.indexOf(b.kind)),
    { textOf: (hash) => code.declared.get(hash) ?? code.stored.get(hash) ?? '' },
  )
  const errors = declared.map((definition) => broken.get(definitionKey(definition))).filter((error) => error !== undefined)
  // a definition that refers to a broken one reports the same error
  return [...new Set(errors)]
}

/** The maximum state size of one entity, for each online windowed view whose source can be read. */
function stateSizes(set: DefinitionSet, found: ReadonlyMap<string, SourceTable>): StateSize[] {
  return set.views.flatMap(({ spec, operational }): StateSize[] => {
    const table = found.get(spec.source.name)
    if (table === undefined || !operational.online || !spec.features.some(({ kind }) => kind === 'window')) return []
    const hasRow = spec.source.relation.kind === 'owned' || table.columns.get('_row')?.base === 'int8'
    const tie = hasRow ? tieOfIdentity : tieOfColumns(spec.source.columns.map(({ type }) => type))
    return [{ view: definitionId(spec), maxStateBytes: operational.maxStateBytes ?? null, ...stateBytes(spec, tie) }]
  })
}
