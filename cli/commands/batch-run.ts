import { createHash } from 'node:crypto'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import type { JoinProgress } from '../../offline/join.ts'
import { isEmbedded } from '../../runtime/postgres/database.ts'
import { jobFailure } from '../../runtime/jobs/await-job.ts'
import { absoluteName } from '../../runtime/storage/object-store.ts'
import { outputFields } from '../../registry/define/batch-output-fields.ts'
import { parseModelReference } from '../../registry/models/pick-version.ts'
import { batchJson, readBatch } from '../../serving/batch/batch-json.ts'
import type { BatchRequest } from '../../serving/batch/batch-spec.ts'
import { beginBatch } from '../../serving/batch/begin-batch.ts'
import type { BatchAnswer } from '../../serving/protocols/http/jobs/batches-route.ts'
import { runEngineBatch } from '../../serving/engines/engine-batch.ts'
import { actorOf, reasonOption } from '../actor.ts'
import { batchName, batchText } from '../text/batch-text.ts'
import { batchJobs, maxRefusedOf, outputUrl } from '../batch-tools.ts'
import type { Command, Outcome } from '../command.ts'
import type { Context } from '../context.ts'
import type { EngineChoice } from '../engine-option.ts'
import { engineOf, engineOptions, withFileEngine } from '../engine-option.ts'
import { bytes, counted } from '../text/human.ts'
import { createJoinProgress } from '../join-progress.ts'
import { reportToDagster } from '../dagster-pipes.ts'
import { exitCodeOf, ifEmptyOption } from '../if-empty.ts'
import { durationOption } from '../duration-option.ts'
import type { Input } from '../input.ts'
import { beginServerBatch, watchServerBatch } from '../remote/batches.ts'
import type { Server } from '../remote/server.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import { spineInput } from '../spine-option.ts'
import { watchJob } from '../watch-job.ts'
import { jobTools } from '../worker-tools.ts'

const bounds = ['at', 'before'] as const
const formats = ['parquet', 'csv', 'jsonl'] as const
const modes = ['replace', 'append', 'upsert'] as const
const defaultRowsPerPart = 100_000
const maxParts = 99_999

export const batchRunCommand: Command = {
  name: 'batch run',
  summary: 'Predict every row of a spine into files or a table, shared among workers',
  description: [
    'The version, the feature service, the rows that have arrived and the spine are pinned when the batch begins. So the same rows get the same files, even if a worker is killed or new rows arrive.',
    'The folder has part-00000.parquet and so on, then _manifest.json, then _SUCCESS. Without _SUCCESS the batch is not complete.',
    'With --out postgres:TABLE the rows go into a table of the database. Readers see all rows of a batch, or none.',
    'The same --id again joins the running batch, or returns the finished one. So a scheduler may run the command again at any time.',
    'This process and all workers of the database share the parts. With --server, only workers do.',
  ],
  arguments: [{ name: 'MODEL', help: 'The model, or one version of it: delay@3, delay@challenger.' }],
  options: {
    spine: { value: 'FILE|SQL', help: 'The rows to predict for: a file, a URL of object storage, or a query.', needed: true },
    out: {
      value: 'FOLDER',
      help: 'The folder, the URL of one such as s3://bucket/delays/day=2026-03-01, or a table: postgres:SCHEMA.TABLE.',
      needed: true,
    },
    id: { value: 'ID', help: 'The name of the batch, such as delays/2026-03-01. Default: the folder.' },
    version: { value: 'N', help: 'The version of the model. Default: the champion, or the newest version if there is none.' },
    time: { value: 'COLUMN', help: "The spine's time column, if it has several." },
    'as-of': { value: 'BOUND', choices: bounds, help: '"at" (the default) or "before", as for "dataset create".' },
    'known-before': { value: 'TIME', help: 'Ignore rows with a known time (or, without one, an event time) at this moment or later.' },
    columns: { value: 'A,B,…', help: 'The columns of the spine to copy. Default: all.' },
    format: { value: 'FORMAT', choices: formats, help: '"parquet" (the default), "csv" or "jsonl".' },
    mode: {
      value: 'MODE',
      choices: modes,
      help: 'For a table: "replace" all rows (the default), "append" to those of other batches, or "upsert" by key.',
    },
    key: { value: 'A,B,…', help: 'For "upsert": the columns of the spine that are the key. Default: the entity keys.' },
    online: {
      value: 'DURATION',
      help: 'Answer requests with "from": "batch" from these predictions, for this long after the time of their row: 26h. Default: not.',
    },
    'rows-per-part': { value: 'N', help: `The maximum number of rows of a file. Default: ${defaultRowsPerPart}.` },
    'max-refused': { value: 'LIMIT', help: 'Fail if more rows have no prediction: a share such as 1%, or a number. Default: no limit.' },
    'min-rows': { value: 'N', help: 'Fail if the spine has fewer rows. Default: it may have none.' },
    detach: { help: 'Begin the batch and leave it to workers.' },
    overwrite: { help: 'Replace a batch that is in the folder or table.' },
    ...engineOptions,
    'if-empty': ifEmptyOption,
    reason: reasonOption,
    server: serverOption,
  },
  streams: true,
  example: 'lockstep batch run delay --spine june.parquet --out s3://ml/delays/june --id delays/june --max-refused 1%',
  async run(context, input) {
    const engine = engineOf(input, ['detach', 'online', 'server'])
    if (engine !== null) return await runByEngine(context, input, engine)
    const detach = input.flag('detach')
    const server = serverOf(context, input)
    if (server !== null) return await runThroughServer(context, input, server)
    const tools = await jobTools(context)
    const jobs = batchJobs(context, tools)
    const { db, jobs: lasting, worker } = tools
    if (detach && isEmbedded(db)) {
      throw new LockstepError(
        'USAGE',
        'With the embedded database this process is the only one, so no worker could do the batch. Leave out --detach.',
      )
    }
    const request = requestOf(input)
    const id = input.text('id') ?? request.out
    const catalog = await tools.catalog()
    const by = actorOf(input)
    const begun = await beginBatch(
      { db, catalog, kind: jobs.kind, worker, by, store: () => context.store(), signal: context.signal },
      id,
      request,
    )
    if (detach) return detached({ ...batchJson(begun.job), joined: begun.joined })
    const job = await watchJob(context, { jobs: lasting, worker }, begun.job.id, {
      label: `Batch ${batchName(id)}`,
      kinds: [jobs.kind],
    }).catch((error: unknown) => {
      if (!context.signal.aborted) throw error
      throw new LockstepError(
        'STOPPED',
        `${messageOf(context.signal.reason)} The same command continues the batch "${batchName(id)}", and workers do.`,
        {
          cause: context.signal.reason,
          details: { id, job: begun.job.id, retriable: true },
        },
      )
    })
    const failure = jobFailure(job)
    if (failure !== null) throw failure
    return await finished(input, batchJson(await readBatch(db, id)), { joined: begun.joined, state: begun.job.state })
  },
}

/** Workers predict, or with the embedded database the server: this process cannot help. */
async function runThroughServer(context: Context, input: Input, server: Server): Promise<Outcome> {
  const request = requestOf(input)
  const begun = await beginServerBatch(server, input.text('id') ?? request.out, request, input.text('reason'))
  if (input.flag('detach')) return detached(begun)
  return await finished(input, await watchServerBatch(context, server, begun), begun)
}

function detached(begun: BatchAnswer & { readonly joined: boolean }): Outcome {
  return { json: begun, text: `${batchText(begun)}\nWorkers do it: "lockstep batch watch ${batchName(begun.id)}" shows the progress.` }
}

/** @param begun whether it ran or was done before, and its state then */
async function finished(
  input: Input,
  batch: BatchAnswer,
  { joined, state }: { readonly joined: boolean; readonly state: BatchAnswer['state'] },
): Promise<Outcome> {
  const { id, result, out, model, version } = batch
  if (result !== null) {
    const { rows, refused, bytes: size } = result
    const metadata = { batch: id, path: out, model: `${model}@${version}`, rows, refused, bytes: size }
    await reportToDagster({ metadata, dataVersion: result.sha256 })
  }
  const text = joined && state === 'done' ? `The batch was done before.\n${batchText(batch)}` : batchText(batch)
  return { json: { ...batch, joined }, text, ...exitCodeOf(input, result?.rows ?? 0) }
}

/** Predicts from files, in this process alone. */
async function runByEngine(context: Context, input: Input, choice: EngineChoice): Promise<Outcome> {
  const request = requestOf(input)
  const id = input.text('id') ?? request.out
  const [db, catalog] = [await context.database(), await context.catalog()]
  const bar = createJoinProgress(context.terminal, { join: `Joining for ${request.model}`, write: 'Predicting' })
  const onProgress = (progress: JoinProgress): void => bar.update(progress)
  try {
    const manifest = await withFileEngine(choice, db, catalog, (engine) =>
      runEngineBatch({ db, catalog, engine }, id, request, { signal: context.signal, log: context.log, onProgress }),
    )
    const { rows, refused, parts, model, version, bytes: size } = manifest
    const dataVersion = createHash('sha256')
      .update(parts.map(({ sha256 }) => sha256).join('\n'))
      .digest('hex')
    const metadata = { batch: id, path: request.out, model: `${model}@${version}`, rows, refused, bytes: size }
    await reportToDagster({ metadata, dataVersion })
    const text = `Predicted ${counted(rows, 'row')} with ${model}@${version} into ${batchName(request.out)} (${counted(parts.length, 'part')}, ${bytes(size)}); ${counted(refused, 'row')} without a prediction.`
    return { json: manifest, text, ...exitCodeOf(input, rows) }
  } finally {
    bar.end()
  }
}

function requestOf(input: Input): BatchRequest {
  const named = parseModelReference(input.argument('MODEL'))
  const spine = spineInput(input.needed('spine'))
  const [maxRefused, online] = [input.text('max-refused'), input.text('online')]
  return {
    model: named.model,
    version: input.count('version', 1) ?? named.version ?? null,
    spine: 'file' in spine ? { file: absoluteName(spine.file) } : spine,
    time: input.text('time') ?? null,
    asOf: input.choice('as-of', bounds) ?? 'at',
    knownBefore: input.time('known-before') ?? null,
    columns: listOf(input.text('columns')) ?? null,
    ...outputFields({
      out: outputUrl(input.needed('out')),
      format: input.choice('format', formats),
      mode: input.choice('mode', modes),
      key: listOf(input.text('key')),
    }),
    onlineMicros: online === undefined ? null : durationOption('batch run', 'online', online),
    rowsPerPart: input.count('rows-per-part', 1, maxParts * defaultRowsPerPart) ?? defaultRowsPerPart,
    maxRefused: maxRefused === undefined ? null : maxRefusedOf(maxRefused),
    minRows: input.count('min-rows', 1) ?? null,
    overwrite: input.flag('overwrite'),
  }
}

function listOf(text: string | undefined): string[] | undefined {
  return text?.split(',').map((name) => name.trim())
}
