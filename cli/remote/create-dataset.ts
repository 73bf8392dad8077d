import { writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { LockstepError } from '../../kernel/errors.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import type { DatasetManifest } from '../../offline/datasets/dataset-manifest.ts'
import { filesOf, pathOfManifest, statisticsOf } from '../../offline/datasets/dataset-manifest.ts'
import type { DatasetOptions } from '../../offline/datasets/dataset.ts'
import { formatOf } from '../../offline/files/dataset-writer.ts'
import { makeFolder } from '../../runtime/files/make-folder.ts'
import { writeFailed } from '../../runtime/files/place-files.ts'
import { refuseExisting } from '../../runtime/files/refuse-existing.ts'
import { beginDatasetAnswer, datasetAnswer } from '../../serving/protocols/http/data/dataset-schemas.ts'
import type { Context } from '../context.ts'
import { downloadFile, localPath } from './download-file.ts'
import type { Server } from './server.ts'
import { uploadFile } from './upload-file.ts'
import { watchServerJob } from './watch-server-job.ts'

export interface RemoteDataset extends DatasetOptions {
  /** null: one file. */
  readonly parts: { readonly count: number } | { readonly rows: number } | null
}

/**
 * Has a server write a training set, and downloads its files.
 *
 * @returns the manifest, with the paths of the downloaded files
 */
export async function createRemoteDataset(
  context: Context,
  server: Server,
  service: string,
  options: RemoteDataset,
): Promise<DatasetManifest> {
  const { spine, parts, out, overwrite = false } = options
  if (options.split !== undefined) {
    throw new LockstepError('USAGE', 'A server does not split a training set by time; remove "--split", or filter the spine by time.')
  }
  const to = localPath(out)
  if (!overwrite) await refuseExisting(parts === null ? [to, `${to}.manifest.json`] : [join(to, 'manifest.json')])
  const body = { ...bodyOf(options), service }
  const begin = async (from: object) => await server.ask('POST', '/v1/datasets', { ...body, spine: from }, beginDatasetAnswer)
  const begun =
    'file' in spine
      ? await uploadFile(context, server, spine.file, (upload) => begin({ upload }))
      : await begin('sql' in spine ? spine : { rowsOf: spine.rowsOf, from: formatTimestamp(spine.from), to: formatTimestamp(spine.to) })
  await watchServerJob(context, server, begun.job, { label: `Exporting ${begun.service}`, work: 'write the training set' })
  const { files, manifest } = await server.ask('GET', `/v1/datasets/${begun.id}`, undefined, datasetAnswer)
  const local = localManifest(manifest, to, parts === null)
  if (parts !== null) {
    await makeFolder(to).catch((cause: unknown) => {
      throw writeFailed(to, cause)
    })
  }
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0)
  const progress = context.terminal.progress('Downloading', 'bytes')
  try {
    let done = 0
    for (const [i, { url, bytes, sha256 }] of files.entries()) {
      const path = filesOf(local)[i]?.path ?? to
      await downloadFile(server, { from: url, to: path, bytes, sha256 }, (arrived) => progress.update((done += arrived), total))
    }
  } finally {
    progress.end()
  }
  const beside = pathOfManifest(local)
  await writeFile(beside, `${JSON.stringify(local, null, 2)}\n`).catch((cause: unknown) => {
    throw writeFailed(beside, cause)
  })
  return local
}

function bodyOf({ parts, out, sample, knownBefore, ...options }: RemoteDataset): object {
  const { time, columns, asOf, knowledge, freshness, dropIncomplete } = options
  return {
    ...(parts === null ? {} : 'count' in parts ? { parts: parts.count } : { rowsPerPart: parts.rows }),
    format: options.format ?? (parts === null ? formatOf(out) : 'parquet'),
    ...(sample === undefined ? {} : { sample: sample.fraction, seed: sample.seed }),
    ...(knownBefore === undefined ? {} : { knownBefore: formatTimestamp(knownBefore) }),
    time,
    columns,
    asOf,
    knowledge,
    freshness,
    dropIncomplete,
  }
}

/** The manifest of the files where they are here. A set of one file has the name that was asked for. */
function localManifest(manifest: DatasetManifest, to: string, isOne: boolean): DatasetManifest {
  if (isOne) {
    const file = { ...manifest.file, path: to, range: null, statistics: statisticsOf(manifest) }
    return { ...manifest, path: to, file, statistics: null }
  }
  const named = (file: DatasetManifest['file']) => ({ ...file, path: join(to, basename(file.path)) })
  return { ...manifest, path: to, file: named(manifest.file), otherFiles: manifest.otherFiles.map(named) }
}
