import { sourceSyncKind } from '../../../materializer/sources/sync-source.ts'
import { compareFiles, countStoredFiles, readStoredFiles } from '../../../offline/source-files/stored-files.ts'
import { readJobs } from '../../../runtime/jobs/read-jobs.ts'
import type { SourceData } from '../contract/definition.ts'
import { source as sourceContract } from '../contract/definition.ts'
import { jobAt } from '../operations/jobs-model.ts'
import { deadByReason } from '../pipelines/pipeline-models.ts'
import type { Ask } from '../read-model.ts'
import { readModel } from '../read-model.ts'
import { definitionData } from './definition-data.ts'

const maxShown = 200

export const sourceModel = readModel({
  path: '/sources/:id',
  scope: 'ui:read',
  data: sourceContract,
  async read(ask) {
    const { data, notes } = await definitionData(ask, ask.params['id'] ?? '', ['source'])
    const files = await filesOf(ask, data.id)
    const dead = await deadByReason(ask, data.id)
    const answer: SourceData = { ...data, files, dead: dead.length > 0 || ask.deps.catalog().streams.has(data.id) ? dead : null }
    return { data: answer, notes: ask.isPast ? [...notes, ...unrecorded(answer)] : notes }
  },
})

/** What is not known of a source at a past moment. */
function unrecorded({ files, dead }: Pick<SourceData, 'files' | 'dead'>): readonly string[] {
  return [
    'How many rows it had then is not recorded.',
    ...(files === null
      ? []
      : ['Its files are those of now that had been loaded by then: those loaded again or removed since are missing.']),
    ...(dead === null ? [] : ['Dead letters that were retried, dropped or forgotten since are missing.']),
  ]
}

async function filesOf({ deps, db, now, isPast }: Ask, name: string): Promise<SourceData['files']> {
  const catalog = deps.catalog()
  const declared = catalog.files.get(name)
  if (declared === undefined) return null
  const until = isPast ? new Date(now / 1000) : undefined
  const [files, sums, [found]] = await Promise.all([
    readStoredFiles(db, name, { newest: maxShown, until }),
    countStoredFiles(db, name, until),
    readJobs(db, { kind: sourceSyncKind, subject: name, limit: 1, ...(isPast ? { until: now } : {}) }),
  ])
  const job = found !== undefined && until !== undefined ? jobAt(found, until) : found
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
