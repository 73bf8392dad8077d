import type { CatalogModel } from '../../../registry/catalog.ts'
import { readExperimentRuns } from '../../../registry/experiments/experiment.ts'
import type { PastInventory } from '../../../registry/find/past-inventory.ts'
import { readDecisions } from '../../../registry/rollouts/decisions.ts'
import type { Rollout } from '../../../registry/rollouts/rollout.ts'
import { readRollouts } from '../../../registry/rollouts/rollout.ts'
import { shadowOf } from '../../../registry/rollouts/shadow.ts'
import { findThen } from '../past-registry.ts'
import type { Ask } from '../read-model.ts'
import { rolloutAt } from '../rollouts/rollout-at.ts'

/**
 * A model at the page's moment: its versions, aliases and pin, and which rollout, shadow and experiments were running.
 */
export async function modelAt(ask: Ask, name: string): Promise<CatalogModel> {
  if (!ask.isPast) return ask.deps.catalog().model(name)
  const { past } = await findThen(ask, name, ['model'], 'current')
  const definition = past?.definitions.find((each) => each.kind === 'model' && each.name === name)
  if (past === null || definition?.kind !== 'model') return ask.deps.catalog().model(name)
  const at = new Date(ask.now / 1000)
  return {
    name,
    spec: definition.spec,
    operational: definition.operational,
    ...aliasesOf(past, name),
    rollout: await runningRollout(ask, name, at),
    shadow: await runningShadow(ask, name, at),
    experiments: (await readExperimentRuns(ask.db.kysely))
      .filter(({ model, startedAt, stoppedAt }) => model === name && startedAt <= at && (stoppedAt === null || stoppedAt > at))
      .toReversed(),
  }
}

function aliasesOf({ versions, aliases, pins }: PastInventory, name: string): Pick<CatalogModel, 'versions' | 'aliases' | 'pin'> {
  return {
    versions: versions.filter(({ model }) => model === name),
    aliases: new Map(aliases.filter(({ model }) => model === name).map((each) => [each.alias, each])),
    pin: pins.get(name) ?? null,
  }
}

async function runningRollout({ db }: Ask, name: string, at: Date): Promise<Rollout | null> {
  const rollout = (await readRollouts(db.kysely, name)).find(
    ({ startedAt, endedAt }) => startedAt <= at && (endedAt === null || endedAt > at),
  )
  return rollout === undefined ? null : rolloutAt({ rollout, decisions: await readDecisions(db.kysely, rollout.id) }, at).rollout
}

async function runningShadow({ db }: Ask, name: string, at: Date): Promise<CatalogModel['shadow']> {
  const row = await db.kysely
    .selectFrom('lockstep.shadows')
    .selectAll()
    .where('model', '=', name)
    .where('started_at', '<=', at)
    .where(({ eb, or }) => or([eb('ended_at', 'is', null), eb('ended_at', '>', at)]))
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst()
  return row === undefined ? null : shadowOf(row)
}
