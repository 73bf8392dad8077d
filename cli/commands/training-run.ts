import { defined } from '../../kernel/defined.ts'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import { beginTraining } from '../../registry/trainings/begin-run.ts'
import type { TrainingRunJson } from '../../registry/trainings/read-runs.ts'
import { runJson } from '../../registry/trainings/read-runs.ts'
import { isEmbedded } from '../../runtime/postgres/database.ts'
import { jobFailure } from '../../runtime/jobs/await-job.ts'
import { beginRunAnswer, maxListedRuns, trainingAnswer } from '../../serving/protocols/http/jobs/trainings-route.ts'
import { actorOf, reasonOption } from '../actor.ts'
import type { Command, Outcome } from '../command.ts'
import type { Context } from '../context.ts'
import type { Input } from '../input.ts'
import type { Server } from '../remote/server.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import { watchServerJob } from '../remote/watch-server-job.ts'
import { trainingsHere } from '../training-tools.ts'
import { runText } from '../text/training-text.ts'
import { watchJob } from '../watch-job.ts'
import { jobTools } from '../worker-tools.ts'

const maxExitCode = 255

export const trainingRunCommand: Command = {
  name: 'training run',
  summary: 'Run a training: write its training set, train, decide, register the version',
  description: [
    'The command waits for the end. This process does the work if its folder LOCKSTEP_TRAINERS has the trainer. Otherwise a worker that has the trainer does.',
    'The same --at again joins the run if it is under way, returns it if it is done, and retries it if it failed. So a scheduler may run the command again at any time.',
    'Exits with 0 if a version was registered, and with 1 if the run failed or the version was refused.',
  ],
  arguments: [{ name: 'NAME', help: 'The training.' }],
  options: {
    at: { value: 'TIME', help: 'The instant of the run, from which its rows are counted back. Default: now, or the run under way.' },
    detach: { help: 'Begin the run and leave it to workers.' },
    'if-refused': { value: 'CODE', help: 'Exit with this code if the version was refused, such as 99. Default: 1.' },
    reason: reasonOption,
    server: serverOption,
  },
  streams: true,
  example: 'lockstep training run fraud_weekly --at 2026-03-02T04:00:00Z',
  async run(context, input) {
    const [name, detach, server] = [input.argument('NAME'), input.flag('detach'), serverOf(context, input)]
    if (server !== null) return await runThroughServer(context, input, server)
    const tools = await jobTools(context)
    const { db, jobs, worker } = tools
    const [catalog, kind] = [await tools.catalog(), trainingsHere(context, tools)]
    const { trainer } = catalog.training(name).spec
    const isHere = (await kind.scopes?.())?.includes(trainer) === true
    if (isEmbedded(db) && (detach || !isHere)) throw detach ? alone() : notHere(trainer)
    const begun = await beginTraining({ db, catalog, worker, by: actorOf(input) }, name, input.time('at') ?? null)
    const { id } = begun.job
    if (detach) return detached(await runJson(db, begun.job), begun.joined)
    if (!isHere && begun.job.state === 'running')
      context.log.warn({ trainer }, 'this process does not have the trainer (LOCKSTEP_TRAINERS), so it waits for a worker that has it')
    const job = await watchJob(context, { jobs, worker }, id, { label: `Training ${name}`, kinds: isHere ? [kind] : null }).catch(
      (error: unknown) => {
        if (!context.signal.aborted) throw error
        const again = `The same command continues the run, and workers do. "lockstep job cancel ${id}" ends it.`
        throw new LockstepError('STOPPED', `${messageOf(context.signal.reason)} ${again}`, {
          cause: context.signal.reason,
          details: { job: id, retriable: true },
        })
      },
    )
    const failure = jobFailure(job)
    if (failure !== null) throw failure
    return outcome(input, await runJson(jobs, job), begun.joined)
  },
}

/** Workers that have the trainer run it, or with the embedded database the server: this process cannot help. */
async function runThroughServer(context: Context, input: Input, server: Server): Promise<Outcome> {
  const [name, at] = [input.argument('NAME'), input.time('at')]
  const path = `/v1/trainings/${encodeURIComponent(name)}`
  const body = defined({ at: at === undefined ? undefined : formatTimestamp(at), reason: input.text('reason') })
  const { requestId: _, joined, ...begun } = await server.ask('POST', `${path}/runs`, body, beginRunAnswer)
  if (input.flag('detach')) return detached(begun, joined)
  await watchServerJob(context, server, begun.job, { label: `Training ${name}`, work: `run the training "${name}"` })
  const { runs } = await server.ask('GET', `${path}?limit=${maxListedRuns}`, undefined, trainingAnswer)
  return outcome(input, runs.find(({ job }) => job === begun.job) ?? begun, joined)
}

function detached(run: TrainingRunJson, joined: boolean): Outcome {
  return { json: { ...run, joined }, text: `${runText(run)}\nWorkers do it: "lockstep job watch ${run.job}" waits for it.` }
}

function outcome(input: Input, run: TrainingRunJson, joined: boolean): Outcome {
  const refused = run.outcome === 'refused' ? { exitCode: input.count('if-refused', 0, maxExitCode) ?? 1 } : {}
  return { json: { ...run, joined }, text: runText(run), ...refused }
}

function alone(): LockstepError {
  return new LockstepError(
    'USAGE',
    'With the embedded database this process is the only one, so no worker could do the run. Leave out --detach.',
  )
}

function notHere(trainer: string): LockstepError {
  return new LockstepError(
    'CONFIG_INVALID',
    `This process may not run the trainer "${trainer}". Set "LOCKSTEP_TRAINERS" to a folder that has an executable file of this name.`,
    { details: { trainer } },
  )
}
