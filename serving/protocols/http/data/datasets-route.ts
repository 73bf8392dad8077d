import { randomUUID } from 'node:crypto'
import { copyFile, link, mkdir, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { defined } from '../../../../kernel/defined.ts'
import { LockstepError } from '../../../../kernel/errors.ts'
import type { ServicePlan } from '../../../../kernel/service-plan.ts'
import { parseTimestamp } from '../../../../kernel/values/time.ts'
import { deleteDatasetFiles } from '../../../../offline/datasets/delete-dataset-files.ts'
import type { ExportOptions } from '../../../../offline/distributed-export/begin-export.ts'
import { beginExport } from '../../../../offline/distributed-export/begin-export.ts'
import { exportSpec } from '../../../../offline/distributed-export/export-spec.ts'
import { filesOf } from '../../../../offline/datasets/dataset-manifest.ts'
import type { StoredDataset } from '../../../../offline/datasets/stored-datasets.ts'
import { findDataset, readDatasets, withoutManifest } from '../../../../offline/datasets/stored-datasets.ts'
import type { SpineInput } from '../../../../offline/spine/spine.ts'
import { deleteTrainingSet } from '../../../../registry/delete-training-set.ts'
import { readJob } from '../../../../runtime/jobs/read-jobs.ts'
import { processName } from '../../../../runtime/process-name.ts'
import type { ServingContext } from '../../../context.ts'
import type { Call } from '../call.ts'
import { actorOf, jsonAnswer } from '../call.ts'
import type { NewDataset } from './dataset-schemas.ts'
import {
  beginDatasetAnswer,
  beginDatasetBody,
  datasetAnswer,
  datasetsAnswer,
  deleteDatasetQuery,
  deletedDatasetAnswer,
} from './dataset-schemas.ts'
import { fileAnswer } from '../response/file-answer.ts'
import { asRefusal } from '../response/refusal.ts'
import { checkedRoute } from '../checked-route.ts'
import type { Route } from '../route.ts'

/** The routes that make training sets, show them, and send their files. */
export const datasetRoutes: readonly Route[] = [
  checkedRoute({
    method: 'POST',
    path: '/v1/datasets',
    scope: 'admin',
    summary: 'Begin to write a training set; /v1/jobs/{job} shows its progress',
    description:
      'The spine is a query, an upload, or the rows of a view. The files are written by workers, or with the embedded database by the server, into `LOCKSTEP_FILES_DIR`.',
    tag: 'Training sets',
    body: beginDatasetBody,
    example: { service: 'flight_features', spine: { sql: 'select origin as airport, date, delay > 15 as late from flights' } },
    status: 202,
    answer: beginDatasetAnswer,
    async handle(call, deps, { body }) {
      const service = deps.catalog().service(body.service)
      const { spine } = body
      const out = join(deps.datasetsDirectory, randomUUID())
      // for its owner alone: training sets may hold personal data. If it fails, so do the files that are written next
      await mkdir(deps.datasetsDirectory, { recursive: true, mode: 0o700 }).catch(() => undefined)
      const begin = (from: SpineInput) => beginDataset(deps, service, { ...optionsOf(body), spine: from, out })
      const job =
        'upload' in spine
          ? await deps.uploads.use(
              spine.upload,
              async ({ path, name }) => await begin({ file: await keepSpine(path, join(out, 'spine', name)) }),
            )
          : await begin('sql' in spine ? spine : { rowsOf: spine.rowsOf, from: parseTimestamp(spine.from), to: parseTimestamp(spine.to) })
      const { id } = exportSpec.parse((await readJob(deps.upkeep.database(), job)).spec)
      return jsonAnswer(call, { job, id, service: service.id }, 202)
    },
  }),
  {
    method: 'GET',
    path: '/v1/datasets',
    scope: 'read',
    summary: 'The training sets, newest first',
    tag: 'Training sets',
    answer: datasetsAnswer,
    async handle(call, deps) {
      const datasets = await readDatasets(deps.upkeep.database())
      return jsonAnswer(call, { datasets: datasets.map(withoutManifest) })
    },
  },
  {
    method: 'GET',
    path: '/v1/datasets/:id',
    scope: 'read',
    summary: 'One training set: its manifest, and the files to download',
    tag: 'Training sets',
    answer: datasetAnswer,
    async handle(call, deps) {
      const dataset = await datasetOf(call, deps)
      const files = filesOf(dataset.manifest).map(({ path, rows, bytes, sha256 }) => {
        const name = basename(path)
        return { name, url: `/v1/datasets/${dataset.id}/files/${encodeURIComponent(name)}`, rows, bytes, sha256 }
      })
      return jsonAnswer(call, { ...withoutManifest(dataset), files, manifest: dataset.manifest })
    },
  },
  {
    method: 'GET',
    path: '/v1/datasets/:id/files/:part',
    scope: 'admin',
    summary: 'Download a file of a training set',
    description: 'Takes `Range` and `If-Range`, so that a broken download goes on where it stopped. The `etag` is the SHA-256 of the file.',
    tag: 'Training sets',
    produces: 'application/octet-stream',
    status: [200, 206],
    async handle(call, deps) {
      const { id, manifest } = await datasetOf(call, deps)
      const { part: name = '' } = call.params
      const file = filesOf(manifest).find(({ path }) => basename(path) === name)
      if (file === undefined) {
        const names = filesOf(manifest).map(({ path }) => `"${basename(path)}"`)
        throw new LockstepError('NOT_FOUND', `The training set "${id}" has no file "${name}"; it has ${names.slice(0, 10).join(', ')}.`, {
          details: { dataset: id, file: name },
        })
      }
      const answer = await fileAnswer({ ...file, name }, call.incoming.headers)
      if (answer !== null) return answer
      throw new LockstepError(
        'NOT_FOUND',
        `The file "${file.path}" of the training set "${id}" is not on this server, or was overwritten. It is where it was written: let servers and workers share LOCKSTEP_FILES_DIR, or create the training set again.`,
        { details: { dataset: id, file: name } },
      )
    },
  },
  checkedRoute({
    method: 'DELETE',
    path: '/v1/datasets/:id',
    scope: 'admin',
    summary: 'Delete a training set that no model version was trained on',
    tag: 'Training sets',
    query: deleteDatasetQuery,
    answer: deletedDatasetAnswer,
    async handle(call, deps, { query: { files = false, dryRun = false, reason } }) {
      const dataset = await datasetOf(call, deps)
      const { id, manifest } = dataset
      const remove = async (): Promise<readonly string[]> => (files ? await deleteDatasetFiles(dataset) : [])
      const deleted = await deleteTrainingSet(deps.upkeep.database(), id, actorOf(call, reason), remove, { dryRun })
      const [folder] = [manifest.path]
      // also its spine, if it was uploaded
      if (files && !dryRun && dirname(folder) === deps.datasetsDirectory) await rm(folder, { recursive: true, force: true })
      const all = filesOf(manifest).map(({ path, bytes }) => ({ path, bytes }))
      return jsonAnswer(call, { id, files: deleted, all, dryRun })
    },
  }),
]

async function datasetOf({ params }: Call, deps: Pick<ServingContext, 'upkeep'>): Promise<StoredDataset> {
  return await findDataset(deps.upkeep.database(), params['id'] ?? '')
}

/** @returns the id of the job. After an error, the folder is gone. */
async function beginDataset(deps: Pick<ServingContext, 'upkeep'>, service: ServicePlan, options: ExportOptions): Promise<number> {
  try {
    const { spine } = options
    const beginner = { jobs: deps.upkeep.database(), worker: processName() }
    const { id } = await asRefusal(() => beginExport(beginner, service, options), 'file' in spine ? spine.file : undefined)
    return id
  } catch (error) {
    await rm(options.out, { recursive: true, force: true }).catch(() => undefined)
    throw error
  }
}

/** Keeps an uploaded spine beside the training set, which can then be verified. */
async function keepSpine(path: string, to: string): Promise<string> {
  await mkdir(dirname(to), { recursive: true, mode: 0o700 })
  await link(path, to).catch(() => copyFile(path, to))
  return to
}

function optionsOf({ parts, rowsPerPart, sample, seed = 0, knownBefore, dropIncomplete = false, ...body }: NewDataset) {
  if (parts !== undefined && rowsPerPart !== undefined) {
    throw new LockstepError('INVALID_REQUEST', 'Both "parts" and "rowsPerPart" are set; send one of them, or neither for one file.')
  }
  const { format, time, columns, asOf, knowledge, freshness } = body
  return {
    ...defined({ format, time, columns, asOf, knowledge, freshness }),
    ...(knownBefore === undefined ? {} : { knownBefore: parseTimestamp(knownBefore) }),
    ...(sample === undefined ? {} : { sample: { fraction: sample, seed } }),
    parts: rowsPerPart === undefined ? { count: parts ?? 1 } : { rows: rowsPerPart },
    dropIncomplete,
  }
}
