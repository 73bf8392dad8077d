import { LockstepError } from '../../kernel/errors.ts'
import { formatTimestamp } from '../../kernel/time.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import { keepHouse } from '../../materializer/keep-house.ts'
import { materializeView } from '../../materializer/materialize.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { Command } from '../command.ts'
import { counted, duration } from '../human.ts'

export const materializeCommand: Command = {
  name: 'materialize',
  summary: 'Bring views in the online store up to date',
  description: [
    'Folds the rows that arrived since the last run into the stored states; each row counts once, however many runs work at once. Safe to stop and to run again.',
  ],
  arguments: [{ name: 'VIEW', help: 'A view, as "name" or "name@version". None: all that are online.', takes: 'many' }],
  options: {
    to: { value: 'TIME', help: 'What the run counts as now: rows that become visible later wait in the states. Default: now.' },
    rebuild: { help: 'Remove what the store holds of the views first.' },
  },
  streams: true,
  example: 'lockstep materialize airport_delays --to 2001-07-01T00:00:00Z',
  async run(context, input) {
    const catalog = await context.catalog()
    const plans = viewsToMaterialize(catalog, input.arguments('VIEW'))
    const moment = input.time('to')
    const [db, store] = [await context.database(), await context.store()]
    const done = []
    for (const plan of plans) {
      const started = performance.now()
      const progress = context.terminal.progress(`Materializing ${plan.id}`, 'rows')
      try {
        const result = await materializeView(db, store, plan, {
          signal: context.signal,
          replayMs: context.config.replaySeconds * 1000,
          rebuild: input.flag('rebuild'),
          onProgress: ({ rows }) => progress.update(rows, null),
          ...(moment === undefined ? {} : { moment }),
        })
        done.push({ view: plan.id, ...result, seconds: (performance.now() - started) / 1000 })
      } finally {
        progress.end()
      }
    }
    await keepHouse(db, store, catalog, {
      replayMs: context.config.replaySeconds * 1000,
      prune: true,
      nowMs: Date.now(),
      signal: context.signal,
    })
    const lines = done.flatMap(({ view, rows, entities, seconds, moment: at, tooLarge }) => {
      const what = `${counted(rows, 'row')} folded, ${counted(entities, 'entity', 'entities')} written`
      const line = `Materialized ${view} as of ${formatTimestamp(at)}: ${what} in ${duration(seconds * 1000)}.`
      const more = tooLarge.entities - tooLarge.errors.length
      const notes = tooLarge.errors.map(({ code, message }) => `note ${code}: ${message}`)
      return [line, ...notes, ...(more > 0 ? [`note: so are ${counted(more, 'further entity', 'further entities')} of ${view}`] : [])]
    })
    return {
      json: {
        views: done.map(({ tooLarge: { entities, errors }, ...each }) => ({
          ...each,
          moment: formatTimestamp(each.moment),
          tooLarge: { entities, errors: errors.map(({ code, message, details }) => ({ code, message, details })) },
        })),
      },
      text: lines.length === 0 ? 'No view is online, so there is nothing to materialize.' : lines.join('\n'),
    }
  },
}

function viewsToMaterialize(catalog: Catalog, references: readonly string[]): ViewPlan[] {
  const plans = references.length === 0 ? [...catalog.online].map((id) => catalog.view(id)) : references.map((name) => catalog.view(name))
  const offline = plans.find(({ id }) => !catalog.online.has(id))
  if (offline === undefined) return [...new Set(plans)]
  throw new LockstepError('INVALID_REQUEST', `The view "${offline.id}" is not online; declare it with "online: true" and apply the file.`, {
    details: { view: offline.id },
  })
}
