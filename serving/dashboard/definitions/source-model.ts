import { sourceSyncKind } from '../../../materializer/sync-source.ts'
import { compareFiles, countStoredFiles, readStoredFiles } from '../../../offline/source-files/stored-files.ts'
import { readJobs } from '../../../runtime/jobs/read-jobs.ts'
import type { SourceData } from '../contract/definition.ts'
import { source as sourceContract } from '../contract/definition.ts'
import type { Ask } from '../read-model.ts'
import { readModel } from '../read-model.ts'
import { definitionData } from './definition-data.ts'

const maxShown = 200

export const sourceModel = readModel({
  path: '/sources/:id',
  scope: 'ui:read',
  isOfNow: true,
  data: sourceContract,
  async read(ask) {
    const { data } = await definitionData(ask, ask.params['id'] ?? '', ['source'])
    const answer: SourceData = { ...data, files: await filesOf(ask, data.id) }
    return { data: answer }
  },
})

async function filesOf({ deps, db }: Ask, name: string): Promise<SourceData['files']> {
  const catalog = deps.catalog()
  const declared = catalog.files.get(name)
  if (declared === undefined) return null
  const [files, sums, [job]] = await Promise.all([
    readStoredFiles(db, name, maxShown),
    countStoredFiles(db, name),
    readJobs(db, { kind: sourceSyncKind, subject: name, limit: 1 }),
  ])
  // compared with themselves, so that only what the definition has changed is found
  const { changed } = compareFiles(catalog.source(name), declared, files, files)
  const why = new Map(changed.map(({ file, why: reason }) => [file.path, reason]))
  return {
    patterns: [...declared.patterns],
    schedule: declared.schedule,
    ...sums,
    newest: files.map(({ path, rows, bytes, etag, syncedAt }) => ({
      path,
      rows,
      bytes,
      etag,
      syncedAt: syncedAt.toISOString(),
      stale: why.get(path) ?? null,
    })),
    lastSync:
      job === undefined
        ? null
        : {
            job: job.id,
            state: job.state,
            at: (job.finishedAt ?? job.submittedAt).toISOString(),
            error: job.error?.message ?? null,
          },
  }
}
