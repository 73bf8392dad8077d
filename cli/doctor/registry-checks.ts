import { readFreshness } from '../../monitoring/freshness/freshness-reader.ts'
import { failingText } from '../../materializer/failing-views.ts'
import { materializationStatus } from '../../materializer/status.ts'
import { createCheckpointOwner } from '../../online/checkpoint-owner.ts'
import { findIncompleteViews } from '../../online/completeness.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Catalog } from '../../registry/catalog.ts'
import { formatDuration } from '../../kernel/duration.ts'
import { shareOf } from '../../runtime/log-shares.ts'
import type { Config } from '../../runtime/config.ts'
import type { Database } from '../../runtime/database.ts'
import { isEmbedded } from '../../runtime/database.ts'
import { hasWorker, noWorker } from '../../runtime/worker-sessions.ts'
import { setAsideLines } from '../freshness-text.ts'
import { ago, counted } from '../human.ts'
import type { Answer } from './check.ts'
import { note, ok, wrong } from './check.ts'

export function checkRegistry({ revision, views, services, models, broken }: Catalog): Answer[] {
  const holds = [counted(views.size, 'view'), counted(services.size, 'service'), counted(models.size, 'model')].join(', ')
  const problems = [...broken].map(([id, { message }]) => wrong(`${id} cannot be used: ${message}`))
  if (problems.length > 0) return problems
  return [views.size === 0 ? note('It is empty: run "lockstep apply FILE".') : ok(`Revision ${revision}: ${holds}.`)]
}

/** Whether the store holds the online views completely, and as fresh as they declare. */
export async function checkViews(db: Database, store: OnlineStore, catalog: Catalog): Promise<Answer[]> {
  const online = [...catalog.online].flatMap((id) => catalog.views.get(id) ?? [])
  if (online.length === 0) return [ok('No view is online.')]
  const { views } = await readFreshness(db, store, catalog, Date.now() * 1000)
  const lacks = await findIncompleteViews({ ...store, owner: createCheckpointOwner(() => db) }, online)
  const answers = [
    ...lacks.map(({ problem }) => wrong(problem)),
    ...views.flatMap((view) => view.late ?? []).map(wrong),
    ...views.flatMap(({ view, failing }) => (failing === null ? [] : [wrong(failingText(view, failing))])),
    ...views.flatMap(setAsideLines).map(wrong),
  ]
  return answers.length > 0 ? answers : [ok(`${counted(online.length, 'online view')}: all materialized, none late.`)]
}

/** Who keeps the online views current. */
export async function checkWorker(db: Database, store: OnlineStore, catalog: Catalog): Promise<Answer> {
  if (isEmbedded(db) || store.kind === 'embedded') return ok('"lockstep serve" keeps the views of an embedded database current.')
  if (await hasWorker(db)) return ok('A worker is connected.')
  if (catalog.online.size === 0) return ok('No view is online, so none is needed.')
  const runs = await materializationStatus(db, Date.now())
  const last = Math.min(...runs.map(({ ageMs }) => ageMs))
  return note(`${noWorker} The last run of a view ${Number.isFinite(last) ? `was ${ago(last)}` : 'is not known'}.`)
}

/** Outcomes are matched with the predictions that servers log and keep. */
export function checkOutcomes(
  { outcomes }: Catalog,
  { logShares, logRetentionDays }: Pick<Config, 'logShares' | 'logRetentionDays'>,
): Answer[] {
  const answers = [...outcomes.values()].flatMap(({ spec: { name, model, withinMicros } }) => {
    const share = shareOf(logShares, model)
    const days = withinMicros / 86_400_000_000
    return [
      ...(share >= 1
        ? []
        : [
            note(
              `The outcome "${name}" is matched with logged predictions, and ${Number((share * 100).toPrecision(3))} % of "${model}" are logged here. For all, set LOCKSTEP_LOG_PREDICTIONS=${model}=1.`,
            ),
          ]),
      ...(days < logRetentionDays
        ? []
        : [
            note(
              `The outcome "${name}" may take ${formatDuration(withinMicros)}, but predictions are kept for ${logRetentionDays} days, so none is ever mature. Set LOCKSTEP_LOG_RETENTION_DAYS to more.`,
            ),
          ]),
    ]
  })
  if (answers.length > 0) return answers
  return [ok(outcomes.size === 0 ? 'No outcome is declared.' : `${counted(outcomes.size, 'outcome')}: all predictions are logged.`)]
}

/** A pin is meant for an emergency, and easily forgotten: a promotion has no effect meanwhile. */
export function checkModels({ models }: Catalog): Answer[] {
  const pins = [...models.values()].flatMap(({ name, pin }) => (pin === null ? [] : [pinned(name, pin)]))
  return [checkVersions(models), ...pins]
}

function pinned(name: string, version: number): Answer {
  return note(`"${name}" is pinned to version ${version}, whatever its champion is. Unpin it: lockstep model unpin ${name}`)
}

function checkVersions(models: Catalog['models']): Answer {
  const without = [...models.values()].filter(({ versions }) => versions.length === 0).map(({ name }) => name)
  if (without.length === 0)
    return ok(models.size === 0 ? 'No model is declared.' : `${counted(models.size, 'model')}, each with a version.`)
  return note(`Without a version: ${without.join(', ')}. Push one: lockstep model push ${without[0]} FILE.`)
}
