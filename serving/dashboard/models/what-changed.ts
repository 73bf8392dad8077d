import { asRecord } from '../../../kernel/is-record.ts'
import { isOutputColumn, outputColumn } from '../../../monitoring/baselines/baseline.ts'
import { driftedSince } from '../../../monitoring/figures/stored-figures.ts'
import { displayName, labelOf } from '../../../registry/definition.ts'
import type { Definition } from '../../../registry/definition.ts'
import { graphOf, nodeKey } from '../../../registry/find/graph.ts'
import { championAlias } from '../../../registry/models/model-aliases.ts'
import type { DefinitionChange, ModelChange } from '../../../registry/changes/change-history.ts'
import { readDefinitionChanges, readModelChanges } from '../../../registry/changes/change-history.ts'
import { answeringVersion } from '../../../registry/models/pick-version.ts'
import { around, maxSteps } from '../catalog/lineage-model.ts'
import type { OverTimeData } from '../contract/model.ts'
import { registryAtMoment } from '../past-registry.ts'
import type { Ask } from '../read-model.ts'
import { percent } from './drift-lines.ts'
import { modelAt } from './model-at.ts'

type Change = OverTimeData['changes'][number]

/** So many changes of a kind are listed, the newest. */
export const maxChanges = 200

/** The kinds of definitions that predictions come from. */
const kinds: ReadonlySet<string> = new Set(['source', 'view', 'onDemand', 'service', 'model'] satisfies Definition['kind'][])

/** Changes that may have changed the predictions of a model, newest first. @param from epoch microseconds */
export async function modelChanges(ask: Ask, name: string, from: number): Promise<Change[]> {
  const { db, now, isPast } = ask
  const window = { from: new Date(from / 1000), to: isPast ? new Date(now / 1000) : null }
  const ofModel = await readModelChanges(db, name, window, maxChanges)
  const { inventory } = await registryAtMoment(ask, 'all')
  const under = around(graphOf(inventory), [nodeKey({ kind: 'model', name })], maxSteps, 0)
  const definitions = inventory.definitions.filter(
    (each) => kinds.has(each.kind) && under.has(nodeKey({ kind: each.kind, name: labelOf(each) })),
  )
  const ofDefinitions = await readDefinitionChanges(db, definitions, window, maxChanges)
  const changes = [
    ...[...Map.groupBy(ofModel, ({ at }) => at.getTime()).values()].flatMap((together) =>
      together.flatMap((each) => modelChange(name, each, together)),
    ),
    ...[...Map.groupBy(ofDefinitions, ({ at, change }) => `${at.getTime()} ${change}`).values()].map(definitionChange),
    ...(await driftChanges(ask, name, from)),
  ]
  return changes.toSorted((a, b) => (a.at < b.at ? 1 : a.at > b.at ? -1 : 0))
}

/** @param together what the same transaction did */
function modelChange(model: string, change: ModelChange, together: readonly ModelChange[]): readonly Change[] {
  const { at, action, who, reason } = change
  // the promotion of a candidate is one of the model, too
  if (action === 'model.promote' && together.some((each) => each.action === 'rollout.promote')) return []
  const [kind] = action.split('.')
  const link = kind === 'rollout' ? { kind, id: model } : kind === 'experiment' ? { kind, id: change.subject } : null
  return [{ at: at.toISOString(), says: changeText(change), who, reason, link: link as Change['link'] }]
}

function changeText({ action, subject, before, after }: ModelChange): string {
  const [was, is] = [asRecord(before), asRecord(after)]
  const version = subject.split('@')[1] ?? versionText(is) ?? '?'
  const shares = `${shareText(was)} to ${shareText(is)}`
  switch (action) {
    case 'model.push':
      return `Version ${version} was pushed.`
    case 'model.promote':
      return `Version ${version} became the champion${versionText(was) === null ? '' : `, in place of version ${versionText(was)}`}.`
    case 'model.rollback':
      return `${aliasText(is)} was rolled back from version ${versionText(was) ?? '?'} to version ${version}.`
    case 'model.alias':
      return `${aliasText(is)} was set to version ${version}.`
    case 'model.alias.remove':
      return `${aliasText(was)} was removed: it was version ${versionText(was) ?? '?'}.`
    case 'model.delete':
      return `Version ${version} was deleted.`
    case 'model.pin':
      return `The model was pinned to version ${version}, which then answered all requests that name no version.`
    case 'model.unpin':
      return `The model was unpinned: it was pinned to version ${version}.`
    case 'rollout.start':
      return `The rollout of version ${version} began with ${shareText(is)} of the requests.`
    case 'rollout.share':
      return `The share of version ${version} was changed from ${shares}.`
    case 'rollout.advance':
      return `The rollout of version ${version} advanced from ${shares}.`
    case 'rollout.promote':
      return `Version ${version} became the champion: its rollout ended.`
    case 'rollout.rollback':
      return `The rollout of version ${version} was rolled back.`
    case 'rollout.abort':
      return `The rollout of version ${version} was aborted.`
    case 'rollout.pause':
      return `The rollout of version ${version} was paused.`
    case 'rollout.resume':
      return `The rollout of version ${version} was resumed with ${shareText(is)} of the requests.`
    case 'shadow.start':
      return `Version ${version} began to run in shadow, which answers nothing.`
    case 'shadow.stop':
      return `Version ${version} stopped to run in shadow.`
    case 'experiment.start':
      return `The experiment ${subject} started.`
    case 'experiment.stop':
      return `The experiment ${subject} was stopped.`
    case 'experiment.decide':
      return `The experiment ${subject} was decided.`
    default:
      return `${action} of ${subject}.`
  }
}

function versionText({ version }: Readonly<Record<string, unknown>>): string | null {
  return typeof version === 'number' ? String(version) : null
}

function shareText({ share }: Readonly<Record<string, unknown>>): string {
  return typeof share === 'number' ? percent(share) : 'a share'
}

function aliasText({ alias }: Readonly<Record<string, unknown>>): string {
  return alias === championAlias ? 'The champion' : `The alias "${String(alias)}"`
}

/** So many definitions are named. */
const maxNamed = 5

function definitionChange(together: readonly DefinitionChange[]): Change {
  const [first] = together
  if (first === undefined) throw new Error('A group has a change.')
  const { at, change, who, reason } = first
  const named = together.slice(0, maxNamed).map(displayName).join(', ')
  const more = together.length > maxNamed ? ` and ${together.length - maxNamed} more` : ''
  const says = `${change === 'new' ? 'Applied for the first time' : change === 'changed' ? 'Changed' : 'Retired'}: ${named}${more}.`
  return {
    at: at.toISOString(),
    says,
    who,
    reason,
    link: together.length === 1 ? { kind: linkKind(first.kind), id: labelOf(first) } : null,
  }
}

function linkKind(kind: DefinitionChange['kind']): NonNullable<Change['link']>['kind'] {
  return kind === 'source' || kind === 'service' || kind === 'model' ? kind : 'view'
}

/** Since when what the version that answers reads and gives has drifted. */
async function driftChanges(ask: Ask, name: string, from: number): Promise<readonly Change[]> {
  const version = answeringVersion(await modelAt(ask, name))
  if (version === null) return []
  const since = await driftedSince(ask.db, name, version, ask.now)
  const byMoment = Map.groupBy(
    [...since].filter(([, { at }]) => at.getTime() * 1000 >= from),
    ([, { at, orEarlier }]) => `${at.toISOString()} ${orEarlier}`,
  )
  return [...byMoment.values()].flatMap((together) => {
    const [first] = together
    if (first === undefined) return []
    const { at, orEarlier } = first[1]
    const columns = together
      .map(([column]) => (isOutputColumn(column) ? `the output ${column.slice(outputColumn('').length)}` : column))
      .join(', ')
    const says = `Drifted since then${orEarlier ? ', or earlier' : ''}: ${columns} of version ${version}.`
    return [{ at: at.toISOString(), says, who: null, reason: null, link: null }]
  })
}
