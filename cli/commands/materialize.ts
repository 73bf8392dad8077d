import { LockstepError } from '../../kernel/errors.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import { runHousekeeping } from '../../materializer/housekeeping.ts'
import { recordRun, runSpan } from '../../materializer/runs/record-run.ts'
import { materializeView } from '../../materializer/runs/materialize.ts'
import type { NotKept } from '../../materializer/state-writer.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { Command } from '../command.ts'
import { eachInTurn, notDoneJson, notDoneLines } from '../each-in-turn.ts'
import { counted, duration } from '../text/human.ts'

export const materializeCommand: Command = {
  name: 'materialize',
  summary: 'Bring online views up to date',
  description: [
    'Folds the rows that have arrived since the last run into the stored states. Each row counts once, even if several runs work at the same time. Safe to stop and to run again.',
    'A view that fails does not stop the others, and a row that cannot be folded affects only its entity. The command names them and exits with 1. If you stop the command, it prints what is done and names the views that are left.',
  ],
  arguments: [{ name: 'VIEW', help: 'A view, as "name" or "name@version". Default: all online views.', takes: 'many' }],
  options: {
    to: { value: 'TIME', help: 'The moment of the run: rows that become visible later wait in the states. Default: now.' },
    rebuild: { help: 'Delete the stored states of the views first.' },
  },
  streams: true,
  example: 'lockstep materialize airport_delays --to 2001-07-01T00:00:00Z',
  async run(context, input) {
    const catalog = await context.catalog()
    const plans = viewsToMaterialize(catalog, input.arguments('VIEW'))
    const moment = input.time('to')
    const [db, store] = [await context.database(), await context.store()]
    const tracing = await context.tracing()
    const turns = await eachInTurn(plans, {
      nameOf: ({ id }) => id,
      signal: context.signal,
      async work(plan) {
        const started = performance.now()
        const progress = context.terminal.progress(`Materializing ${plan.id}`, 'rows')
        try {
          const run = () =>
            materializeView(db, store, plan, {
              signal: context.signal,
              log: context.log,
              replayMs: context.config.replaySeconds * 1000,
              rebuild: input.flag('rebuild'),
              onProgress: ({ rows }) => progress.update(rows, null),
              moment,
            })
          const result = await recordRun(tracing?.begin(runSpan, { kind: 'internal' }), plan, run)
          return { view: plan.id, ...result, seconds: (performance.now() - started) / 1000 }
        } finally {
          progress.end()
        }
      },
    })
    const { done, failed, stopped } = turns
    const housekeeping = { replayMs: context.config.replaySeconds * 1000, prune: true, nowMs: Date.now(), signal: context.signal }
    await runHousekeeping(db, store, catalog, housekeeping).catch((error: unknown) => {
      // the next run does the rest
      if (!context.signal.aborted) throw error
    })
    const lines = done.flatMap(({ view, rows, entities, seconds, moment: at, tooLarge, setAside }) => {
      const what = `${counted(rows, 'row')} folded, ${counted(entities, 'entity', 'entities')} written`
      const line = `Materialized ${view} as of ${formatTimestamp(at)}: ${what} in ${duration(seconds * 1000)}.`
      return [line, ...notKeptLines('note', view, tooLarge), ...notKeptLines('set aside', view, setAside)]
    })
    return {
      json: {
        views: done.map(({ tooLarge, setAside, ...each }) => ({
          ...each,
          moment: formatTimestamp(each.moment),
          tooLarge: notKeptJson(tooLarge),
          setAside: notKeptJson(setAside),
        })),
        ...notDoneJson(turns, 'view'),
      },
      text:
        plans.length === 0
          ? 'There are no online views, so there is nothing to materialize.'
          : [...lines, ...notDoneLines(turns)].join('\n'),
      exitCode: failed.length > 0 || stopped !== null || done.some(({ setAside }) => setAside.entities > 0) ? 1 : 0,
    }
  },
}

function notKeptLines(what: string, view: string, { entities, errors }: NotKept): string[] {
  const more = entities - errors.length
  return [
    ...errors.map(({ code, message }) => `${what} ${code}: ${message}`),
    ...(more > 0 ? [`${what}: so are ${counted(more, 'further entity', 'further entities')} of ${view}`] : []),
  ]
}

function notKeptJson({ entities, errors }: NotKept): object {
  return { entities, errors: errors.map(({ code, message, details }) => ({ code, message, details })) }
}

function viewsToMaterialize(catalog: Catalog, references: readonly string[]): ViewPlan[] {
  const plans = references.length === 0 ? [...catalog.online].map((id) => catalog.view(id)) : references.map((name) => catalog.view(name))
  const offline = plans.find(({ id }) => !catalog.online.has(id))
  if (offline === undefined) return [...new Set(plans)]
  throw new LockstepError('INVALID_REQUEST', `The view "${offline.id}" is not online; declare it with "online: true" and apply the file.`, {
    details: { view: offline.id },
  })
}
