import { LockstepError } from '../../kernel/errors.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import { backfills, beginBackfill, runningBackfill } from '../../materializer/backfills/backfill.ts'
import { logOversized } from '../../materializer/runs/log-oversized.ts'
import type { Backfill } from '../../materializer/backfills/read-backfills.ts'
import { backfillJson, backfillOf } from '../../materializer/backfills/read-backfills.ts'
import { noneSetAside, readSetAsides } from '../../materializer/set-aside.ts'
import type { Actor } from '../../runtime/audit.ts'
import { cancelJob } from '../../runtime/jobs/end-job.ts'
import { backfillAnswer } from '../../serving/protocols/http/jobs/job-schemas.ts'
import { actorOf, reasonOption } from '../actor.ts'
import type { Command, Outcome } from '../command.ts'
import type { Context } from '../context.ts'
import { setAsideLines } from '../text/freshness-text.ts'
import { counted, duration } from '../text/human.ts'
import type { Input } from '../input.ts'
import type { Server } from '../remote/server.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import { watchServerJob } from '../remote/watch-server-job.ts'
import { watchJob } from '../watch-job.ts'
import type { WorkerTools } from '../worker-tools.ts'
import { workerTools } from '../worker-tools.ts'

const now = (): number => Date.now() * 1000

export const backfillCommand: Command = {
  name: 'backfill',
  summary: 'Rebuild the online states of a view from the complete history, with all workers',
  description: [
    'The keys are split into chunks. This process and all "lockstep worker" processes on the same database work on them. Online values stay available meanwhile, and pushes and runs continue.',
    'You can stop it and run it again: it continues where it was. A second backfill of the same view and range joins the first.',
    'An entity whose rows cannot be folded is set aside and does not stop the others. The command names it and exits with 1.',
  ],
  arguments: [{ name: 'VIEW', help: 'A view, as "name" or "name@version".' }],
  options: {
    from: { value: 'TIME', help: 'Only entities with an event at this time or later. Needs --to.' },
    to: { value: 'TIME', help: 'Only entities with an event before this time. Needs --from.' },
    chunks: { value: 'N', help: 'The number of chunks. Default: one for every 100,000 rows.' },
    'no-work': { help: 'Leave all chunks to workers.' },
    detach: { help: 'Start it, leave it to workers, and do not wait.' },
    cancel: { help: 'Cancel the running backfill of this view and range.' },
    reason: reasonOption,
    server: serverOption,
  },
  streams: true,
  example: 'lockstep backfill airport_delays --chunks 20',
  async run(context, input) {
    const server = serverOf(context, input)
    if (server !== null) return await backfillThroughServer(context, input, server)
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
    const { id, joined } = await beginBackfill(tools, plan, { events, chunks, by, now })
    if (input.flag('detach')) return detached({ id, view: plan.id, joined })
    const done = await finish(context, tools, id, !input.flag('no-work'))
    const seconds = ((done.finishedAt ?? new Date()).getTime() - done.startedAt.getTime()) / 1000
    const setAside = (await readSetAsides(tools.db, done.store, done.startedAt)).get(plan.id) ?? noneSetAside
    const line = `Backfilled ${plan.id} as of ${formatTimestamp(done.plan?.moment ?? now())}: ${counted(done.rows, 'row')} folded, ${counted(done.entities, 'entity', 'entities')} written, in ${counted(done.chunks, 'chunk')}, in ${duration(seconds * 1000)}.`
    return {
      json: { ...backfillJson(done), joined, setAside },
      text: [line, ...setAsideLines({ view: plan.id, setAside })].join('\n'),
      exitCode: setAside.entities > 0 ? 1 : 0,
    }
  },
}

/** Workers fold the rows, or with the embedded database the server: this process cannot help. */
async function backfillThroughServer(context: Context, input: Input, server: Server): Promise<Outcome> {
  if (input.flag('cancel')) {
    throw new LockstepError(
      'USAGE',
      'Cancel the backfill of a server by its job: "lockstep job list --kind backfill" and "lockstep job cancel ID".',
    )
  }
  const events = eventsOf(input)
  const body = {
    view: input.argument('VIEW'),
    ...(events === null ? {} : { from: formatTimestamp(events.from), to: formatTimestamp(events.to) }),
    chunks: input.count('chunks', 1, 10_000),
    reason: input.text('reason'),
  }
  const { id, view, joined } = await server.ask('POST', '/v1/backfills', body, backfillAnswer)
  if (input.flag('detach')) return detached({ id, view, joined })
  const job = await watchServerJob(context, server, id, { label: 'Backfilling', work: `backfill ${view}` })
  const { requestId: _, steps: __, ...done } = job
  const { rows = 0, entities = 0 } = job.totals
  return {
    json: { ...done, view, joined },
    text: `Backfilled ${view}: ${counted(rows, 'row')} folded, ${counted(entities, 'entity', 'entities')} written, in ${counted(job.chunks, 'chunk')}. "lockstep show ${view}" says whether entities were set aside.`,
  }
}

function detached(begun: { readonly id: number; readonly view: string; readonly joined: boolean }): Outcome {
  const { id, view, joined } = begun
  return { json: begun, text: `${joined ? 'Joined the running' : 'Started'} backfill ${id} of ${view}; workers continue with it.` }
}

/** Works on the backfill unless an option forbids it, and waits until it is done. */
async function finish(context: Context, tools: WorkerTools, id: number, work: boolean): Promise<Backfill> {
  const onTooLarge = logOversized(context.log, () => undefined)
  const kinds = work ? [backfills(tools, tools.view, { onTooLarge, now })] : null
  const backfill = backfillOf(await watchJob(context, tools, id, { label: 'Backfilling', kinds }))
  if (backfill.state === 'done') return backfill
  if (backfill.state === 'cancelled') throw new LockstepError('STOPPED', `The backfill ${id} of "${backfill.view}" was cancelled.`)
  throw failure(backfill)
}

function failure({ id, view, error }: Backfill): LockstepError {
  const message = `The backfill ${id} of "${view}" failed: ${error?.message ?? 'see the logs of the workers'}`
  return new LockstepError('INTERNAL', message, { details: { id, view, code: error?.code ?? 'INTERNAL' } })
}

async function cancel(tools: WorkerTools, view: string, events: Backfill['events'], by: Actor): Promise<Outcome> {
  const id = await runningBackfill(tools.db, { view, store: await tools.store.identity(), events })
  if (id === null || !(await cancelJob(tools.db, id, by, 'backfill.cancel'))) {
    throw new LockstepError('NOT_FOUND', `No backfill of "${view}" with this range is running; "lockstep status" lists the running ones.`)
  }
  return {
    json: { id, view, state: 'cancelled' },
    text: `Cancelled backfill ${id} of ${view}. The states that it has written stay; each of them is complete.`,
  }
}

/** @throws LockstepError `USAGE` where either end is missing, or the range is empty */
function eventsOf(input: Input): Backfill['events'] {
  const [from, to] = [input.time('from'), input.time('to')]
  if (from === undefined && to === undefined) return null
  if (from !== undefined && to !== undefined && from < to) return { from, to }
  throw new LockstepError(
    'USAGE',
    'Give "--from TIME" and a later "--to TIME", or neither for all entities. See "lockstep backfill --help".',
  )
}
