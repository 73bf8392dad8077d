import { setTimeout } from 'node:timers/promises'
import { LockstepError } from '../../kernel/errors.ts'
import { formatTimestamp } from '../../kernel/time.ts'
import { backfillQueue, beginBackfill, cancelBackfill, chunkJobs, tendBackfills } from '../../materializer/backfill.ts'
import type { Backfill } from '../../materializer/backfills.ts'
import { readBackfill, runningBackfill } from '../../materializer/backfills.ts'
import { logOversized } from '../../materializer/log-oversized.ts'
import { noneSetAside, readSetAsides } from '../../materializer/set-aside.ts'
import type { Logger } from '../../runtime/log.ts'
import type { JobEvent } from '../../runtime/work-on-jobs.ts'
import { workOnJobs } from '../../runtime/work-on-jobs.ts'
import type { Actor } from '../../runtime/audit.ts'
import { actorOf, reasonOption } from '../actor.ts'
import type { Command, Outcome } from '../command.ts'
import type { Context } from '../context.ts'
import { setAsideLines } from '../freshness-text.ts'
import { counted, duration } from '../human.ts'
import type { Input } from '../input.ts'
import { backfillJson } from '../backfill-json.ts'
import type { WorkerTools } from '../worker-tools.ts'
import { workerTools } from '../worker-tools.ts'

const pollMs = 250
const tendMs = 2_000

export const backfillCommand: Command = {
  name: 'backfill',
  summary: 'Make the states of a view in the online store anew from the whole history, with all workers',
  description: [
    'The keys are cut into chunks, which this process and all that run "lockstep worker" on the same database take, one after another. What is online stays there meanwhile, and pushes and runs go on beside it.',
    'It can be stopped and run again: it goes on where it was. A second one of the same view and range joins the first.',
    'An entity whose rows cannot be folded is set aside and holds up no other: it is named, and the exit code is 1.',
  ],
  arguments: [{ name: 'VIEW', help: 'A view, as "name" or "name@version".' }],
  options: {
    from: { value: 'TIME', help: 'Only entities with an event from here on. Needs --to.' },
    to: { value: 'TIME', help: 'Only entities with an event before it. Needs --from.' },
    chunks: { value: 'N', help: 'In how many chunks. Default: one for every 100,000 rows.' },
    'no-work': { help: 'Leave all chunks to workers.' },
    detach: { help: 'Begin it, leave it to workers, and do not wait for it.' },
    cancel: { help: 'Cancel the one of this view and range that is running.' },
    reason: reasonOption,
  },
  streams: true,
  example: 'lockstep backfill airport_delays --chunks 20',
  async run(context, input) {
    const catalog = await context.catalog()
    const plan = catalog.view(input.argument('VIEW'))
    if (!catalog.online.has(plan.id)) {
      throw new LockstepError(
        'INVALID_REQUEST',
        `The view "${plan.id}" is not online; declare it with "online: true" and apply the file.`,
        {
          details: { view: plan.id },
        },
      )
    }
    const events = eventsOf(input)
    const chunks = input.count('chunks', 1, 10_000)
    const tools = await workerTools(context)
    const by = actorOf(input)
    if (input.flag('cancel')) return await cancel(tools, plan.id, events, by)
    const { id, joined } = await beginBackfill(tools, plan, { events, chunks, by, now: () => Date.now() * 1000 })
    const begun = joined ? `Joined backfill ${id} of ${plan.id}, which was running` : `Began backfill ${id} of ${plan.id}`
    if (input.flag('detach')) return { json: { id, view: plan.id, joined }, text: `${begun}; workers go on with it.` }
    const done = await finish(context, tools, id, !input.flag('no-work'))
    const seconds = ((done.finishedAt ?? new Date()).getTime() - done.startedAt.getTime()) / 1000
    const setAside = (await readSetAsides(tools.db, done.store, done.startedAt)).get(plan.id) ?? noneSetAside
    const line = `Backfilled ${plan.id} as of ${formatTimestamp(done.moment)}: ${counted(done.rows, 'row')} folded, ${counted(done.entities, 'entity', 'entities')} written, in ${counted(done.chunks, 'chunk')}, in ${duration(seconds * 1000)}.`
    return {
      json: { ...backfillJson(done), joined, setAside },
      text: [line, ...setAsideLines({ view: plan.id, setAside })].join('\n'),
      exitCode: setAside.entities > 0 ? 1 : 0,
    }
  },
}

/** Works on it where it is told to, and waits until it is done. */
async function finish(context: Context, tools: WorkerTools, id: number, work: boolean): Promise<Backfill> {
  const { terminal, signal } = context
  const progress = terminal.progress(`Backfilling`, 'chunks')
  const stop = new AbortController()
  const ended = AbortSignal.any([stop.signal, signal])
  const onTooLarge = logOversized(context.log, () => undefined)
  const working = work
    ? workOnJobs(tools.jobs, {
        kinds: [chunkJobs(tools, tools.view, onTooLarge)],
        only: backfillQueue(id),
        signal: ended,
        onEvent: tellTrouble(context.log),
      })
    : null
  const failed = new Promise<never>((_, reject) => void working?.catch(reject))
  failed.catch(() => undefined) // told by the race
  let tendAt = 0
  try {
    for (;;) {
      signal.throwIfAborted()
      const backfill = await readBackfill(tools.db, id, Date.now())
      if (backfill === null) throw new LockstepError('NOT_FOUND', `The backfill ${id} is gone.`)
      if (backfill.state === 'done') return backfill
      if (backfill.state === 'cancelled') throw new LockstepError('STOPPED', `The backfill ${id} of "${backfill.view}" was cancelled.`)
      if (backfill.state === 'failed') throw failure(backfill)
      progress.update(backfill.chunksDone, backfill.chunks)
      if (performance.now() >= tendAt) {
        tendAt = performance.now() + tendMs
        await tools.jobs.sweep(backfillQueue(id))
        await tendBackfills(tools, tools.view, id)
      }
      await Promise.race([setTimeout(pollMs, undefined, { signal }).catch(() => undefined), failed])
    }
  } finally {
    stop.abort()
    await working?.catch(() => undefined)
    progress.end()
  }
}

/** Says, once, why a chunk has to be tried again: it may be long until it is given up. */
function tellTrouble(log: Logger): (event: JobEvent) => void {
  let said: string | undefined
  return (event) => {
    if ((event.kind !== 'handed back' && event.kind !== 'away') || event.why === said) return
    said = event.why
    log.warn({ error: event.why }, 'a part of the backfill is tried again')
  }
}

function failure({ id, view, error }: Backfill): LockstepError {
  const message = `The backfill ${id} of "${view}" failed: ${error?.message ?? 'see what the workers log'}`
  return new LockstepError('INTERNAL', message, { details: { id, view, code: error?.code ?? 'INTERNAL' } })
}

async function cancel(tools: WorkerTools, view: string, events: Backfill['events'], by: Actor): Promise<Outcome> {
  const id = await runningBackfill(tools.db, { view, store: await tools.store.identity(), events })
  if (id === null || !(await cancelBackfill(tools, id, by))) {
    throw new LockstepError('NOT_FOUND', `No backfill of "${view}" and this range is running; "lockstep status" shows those that are.`)
  }
  return {
    json: { id, view, state: 'cancelled' },
    text: `Cancelled backfill ${id} of ${view}. What it has written stays, and is whole by entity.`,
  }
}

/** @throws LockstepError `USAGE` where one of the two is missing, or the range is empty */
function eventsOf(input: Input): Backfill['events'] {
  const [from, to] = [input.time('from'), input.time('to')]
  if (from === undefined && to === undefined) return null
  if (from !== undefined && to !== undefined && from < to) return { from, to }
  throw new LockstepError(
    'USAGE',
    'Give "--from TIME" and a later "--to TIME", or neither for all entities. See "lockstep backfill --help".',
  )
}
