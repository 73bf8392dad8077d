import { isDeepStrictEqual } from 'node:util'
import { LockstepError } from '../../kernel/errors.ts'
import { openTabularFile } from '../../offline/files/tabular-file.ts'
import { settledNow } from '../../offline/rows/stream-bounds.ts'
import type { OnlineStore } from '../../online/store.ts'
import { bindVersion } from '../../registry/models/bind-version.ts'
import type { Catalog } from '../../registry/catalog.ts'
import { pickVersion } from '../../registry/models/pick-version.ts'
import { orTimeout, timedOut, withTimeout } from '../../runtime/async.ts'
import type { Actor } from '../../runtime/audit.ts'
import { recordAudit } from '../../runtime/audit.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { Job } from '../../runtime/jobs/read-jobs.ts'
import { readJob } from '../../runtime/jobs/read-jobs.ts'
import { submitJob } from '../../runtime/jobs/submit-job.ts'
import type { BatchJobs } from './batch-job.ts'
import type { BatchRequest, BatchSpec } from './batch-spec.ts'
import { batchKind, batchSpec } from './batch-spec.ts'
import { currentEtag } from './current-etag.ts'
import { refuseClash } from './plan-batch.ts'
import { requireStorable } from './online-predictions.ts'
import { lockOutputWithin } from './lock-output.ts'

/** A request waits for it. */
const etagMs = 10_000
/** A request waits for it. The columns are read to refuse a spine early. */
const columnsMs = 5_000

export interface BatchBeginner {
  readonly db: Database
  readonly catalog: Catalog
  readonly kind: BatchJobs['kind']
  /** How others call this process: `host:pid`. */
  readonly worker: string
  readonly by: Actor
  /** The online store, for predictions that are served. */
  readonly store?: (() => Promise<OnlineStore>) | undefined
  /** The declared batch whose schedule begins it. */
  readonly schedule?: string
  readonly signal?: AbortSignal
}

/**
 * Begins a batch, with the version, the service, the rows that have arrived and the spine's file pinned. If a batch of
 * this id runs or is done, the call joins it. One that failed or was cancelled is begun again.
 *
 * @throws LockstepError `BATCH_CONFLICT` where a batch of this id was asked for in another way, or another batch writes
 *   to the folder; `INVALID_REQUEST` for an id; `UNKNOWN_DEFINITION`, `MODEL_MISMATCH`, `FILE_UNREADABLE`,
 *   `SPINE_INVALID` for a column that the batch cannot keep
 */
export async function beginBatch(
  beginner: BatchBeginner,
  id: string,
  request: BatchRequest,
): Promise<{ readonly job: Job; readonly joined: boolean }> {
  checkId(id)
  const { db, kind, worker, by } = beginner
  for (;;) {
    const present = await newestJob(db, id)
    if (present !== null && (present.state === 'running' || present.state === 'done')) {
      refuseOther(id, present, request)
      return { job: present, joined: true }
    }
    const spec = await pinned(beginner, id, request)
    const submitted = await submitJob(db, kind, {
      spec,
      subject: id,
      key: id,
      worker,
      async within(transaction, job) {
        const { model, out } = request
        await refuseShared(transaction, job, out)
        await recordAudit({ kysely: transaction }, by, {
          action: 'batch.start',
          subject: id,
          after: { job, model, version: spec.version, out },
        })
        return true
      },
    })
    // one that another process began meanwhile may have been asked for in another way
    if (submitted === null || submitted.joined) continue
    return { job: await readJob(db, submitted.id), joined: false }
  }
}

/** An index of PostgreSQL holds no longer ones. */
const maxIdBytes = 2000

/** @throws LockstepError `INVALID_REQUEST` */
function checkId(id: string): void {
  const bytes = Buffer.byteLength(id)
  if (bytes > 0 && bytes <= maxIdBytes && id.isWellFormed() && !/\p{Cc}/u.test(id)) return
  throw new LockstepError(
    'INVALID_REQUEST',
    `The id ${JSON.stringify(id.length > 100 ? `${id.slice(0, 100)}…` : id)} of a batch has ${bytes} bytes. It must have from 1 to ${maxIdBytes}, without control characters.`,
  )
}

/**
 * Two batches in one folder would remove each other's parts, because equal requests write equal bytes.
 *
 * @throws LockstepError `BATCH_CONFLICT`
 */
async function refuseShared(transaction: Database['kysely'], job: number, out: string): Promise<void> {
  await lockOutputWithin(transaction, out)
  const running = await transaction
    .selectFrom('lockstep.jobs')
    .select(['subject', 'spec'])
    .where('kind', '=', batchKind)
    .where('state', '=', 'running')
    .where('id', '<>', String(job))
    .execute()
  const other = running.find(({ spec }) => batchSpec.safeParse(spec).data?.request.out === out)
  if (other === undefined) return
  throw new LockstepError('BATCH_CONFLICT', `The batch "${other.subject}" writes to "${out}" now. Choose another folder, or wait for it.`, {
    details: { out, id: other.subject },
  })
}

/** The newest job of a batch; null: there is none. */
export async function newestJob(db: Database, id: string): Promise<Job | null> {
  // PostgreSQL takes no such text
  if (id.includes('\0')) return null
  const found = await db.kysely
    .selectFrom('lockstep.jobs')
    .select('id')
    .where('kind', '=', batchKind)
    .where('key', '=', id)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst()
  return found === undefined ? null : await readJob(db, Number(found.id))
}

async function pinned({ db, catalog, store, schedule, signal }: BatchBeginner, id: string, request: BatchRequest): Promise<BatchSpec> {
  const model = catalog.model(request.model)
  const version = pickVersion(model, request.version ?? undefined)
  const { service, binding } = bindVersion(catalog, model.spec, version)
  const served = request.onlineMicros !== null
  if (served) requireStorable(id, service)
  const etag = 'file' in request.spine ? await etagOf(request.spine.file) : null
  const names = await orTimeout(namesIn(request), columnsMs)
  // the job checks them again
  if (names !== timedOut) refuseClash(names, request, binding.outputs)
  return {
    id,
    createdAt: new Date().toISOString(),
    request,
    version: version.version,
    sha256: version.sha256,
    service: { id: service.id, fingerprint: service.fingerprint },
    arrivedBefore: await settledNow(db, signal),
    etag,
    store: served ? ((await (await store?.())?.identity()) ?? null) : null,
    schedule: schedule ?? null,
    key: request.key ?? [...new Set(service.uses.flatMap(({ key }) => key))],
  }
}

/**
 * The columns of the spine's file. Of other spines, those that the request names: the rest is known when it is read.
 */
async function namesIn({ spine, columns }: BatchRequest): Promise<readonly string[]> {
  if (!('file' in spine)) return columns ?? []
  return (await openTabularFile(spine.file)).columns.map(({ name }) => name)
}

async function etagOf(file: string): Promise<string> {
  const etag = await withTimeout(currentEtag(file), etagMs, () => {
    const failed = `"${file}" could not be found: its storage did not answer within ${etagMs / 1000} s`
    return new LockstepError('STORAGE_UNAVAILABLE', `${failed}. Check that the storage can be reached, and try again.`)
  })
  if (etag !== null) return etag
  throw new LockstepError(
    'FILE_UNREADABLE',
    `There is no file "${file}" for the spine. Check the name, which must be of a file, not of a folder.`,
    { details: { path: file } },
  )
}

/** @throws LockstepError `BATCH_CONFLICT` */
function refuseOther(id: string, job: Job, request: BatchRequest): void {
  const { request: present } = batchSpec.parse(job.spec)
  if (isDeepStrictEqual({ ...present, overwrite: false }, { ...request, overwrite: false })) return
  const differs = (Object.keys(request) as (keyof BatchRequest)[]).filter(
    (name) => name !== 'overwrite' && !isDeepStrictEqual(present[name], request[name]),
  )
  throw new LockstepError(
    'BATCH_CONFLICT',
    `The batch "${id}" is ${job.state === 'done' ? 'done' : 'running'}, and was begun with another ${differs.map((name) => `"${name}"`).join(' and ')}. Choose another id, or ask for the same.`,
    { details: { id, job: job.id, differs } },
  )
}
