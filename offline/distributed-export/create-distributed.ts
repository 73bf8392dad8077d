import { randomUUID } from 'node:crypto'
import { mkdir, readdir, rm, rmdir } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { LockstepError } from '../../kernel/errors.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { Column, ValueType } from '../../kernel/value-type.ts'
import type { Database } from '../../runtime/database.ts'
import { workOnJobs } from '../../runtime/work-on-jobs.ts'
import { carriedColumns } from '../carried-columns.ts'
import type { DatasetOptions } from '../dataset.ts'
import { publish, recipeOf } from '../dataset.ts'
import type { DatasetManifest } from '../dataset-manifest.ts'
import { manifestOf } from '../dataset-manifest.ts'
import { rangesOf } from '../dataset-parts.ts'
import type { DatasetFormat } from '../files/dataset-writer.ts'
import { refuseExisting, writeFailed } from '../files/place-files.ts'
import { refuseLabelLeak } from '../label-leak.ts'
import { sumLeftOut } from '../join.ts'
import { readSourceTable } from '../source-table.ts'
import { countLeftOut, dropColumns } from '../source-stream.ts'
import { openSpine } from '../spine/open-spine.ts'
import { dropUnderReaders, indexSpine } from '../spine/slice-spine.ts'
import type { SpineDigest } from '../spine/spine-hash.ts'
import { createSpineHash } from '../spine/spine-hash.ts'
import { spineRows } from '../spine/spine-rows.ts'
import { isSpineHeld } from '../spine/spine-table.ts'
import type { Spine } from '../spine/spine.ts'
import { collectStatistics } from '../profile/column-statistics.ts'
import { settledNow } from '../stream-bounds.ts'
import { planPasses } from '../stream-groups.ts'
import type { PartJob, WrittenPart } from './part-job.ts'
import { queueOf, unpackResult } from './part-job.ts'
import type { PartWorkerTools } from './part-jobs.ts'
import { partJobs } from './part-jobs.ts'
import { removeLostExports } from './remove-lost-exports.ts'

export interface SharedDatasetTools extends PartWorkerTools {
  /** Another connection to the same database, which a signal does not end: it keeps the spine, and removes it. */
  readonly keeper: Database
}

export interface SharedDatasetOptions extends Omit<DatasetOptions, 'split' | 'out' | 'onProgress'> {
  /** The folder to write. */
  readonly out: string
  /** How many files, or how many rows of the spine for each. */
  readonly parts: { readonly count: number } | { readonly rows: number }
  /** Whether this process takes parts, too. */
  readonly work: boolean
  /** A worker that is not heard of for so long is gone: 10 at least. Absent: 30. */
  readonly heartbeatSeconds?: number
  /** Rows of the spine whose part is written. */
  readonly onRows?: (done: number, total: number) => void
}

const pollMs = 200
const sweepMs = 2_000
const retries = 4

/**
 * Writes a training set as numbered files in a folder, shared out among all workers of the database: the rows of the
 * files, one after another, are those of one file. The spine is loaded once; each part reads the sources as they were
 * at the beginning. The files get their names together, when all are there.
 *
 *     this process     spine, jobs ............ results ............ names, manifest, registry
 *     every worker           part 0, part 3 …  (a part of a worker that is gone goes to another)
 *
 * After an error nothing has changed, and neither files nor jobs nor the spine are left.
 *
 * @throws LockstepError `NOT_REPRODUCIBLE` where a source tells no arrivals, so that processes cannot see the same rows
 *   of it; what failed a part; and whatever `createDataset` throws
 */
export async function createSharedDataset(
  tools: SharedDatasetTools,
  service: ServicePlan,
  options: SharedDatasetOptions,
): Promise<DatasetManifest> {
  const { db, keeper, jobs } = tools
  const { signal } = options
  const recipe = recipeOf({ ...options, format: options.format ?? 'parquet' })
  const out = resolve(options.out)
  const overwrite = options.overwrite ?? false
  const before = await namesIn(out)
  if (!overwrite) await refuseExisting(before)
  await refuseUnfrozen(db, service)
  const leaks = () => refuseLabelLeak(db, service, recipe.spine, recipe)
  const refused = 'file' in recipe.spine ? null : await leaks() // a file is never refused
  await removeLostExports(keeper, jobs)
  const { rule, knownBefore, time, sample, order } = recipe
  const arrivedBefore = recipe.arrivedBefore ?? (await settledNow(db, signal))
  const spine = await openSpine(keeper, service, recipe.spine, { time, sample, order, seen: { rule, knownBefore, arrivedBefore }, signal })
  const own = await makeFolder(out, `.export-${spine.id}`).catch(async (error: unknown) => {
    await spine.drop().catch(() => undefined)
    throw error
  })
  const stop = new AbortController()
  let working: Promise<unknown> = Promise.resolve()
  let reading: Promise<unknown> = Promise.resolve()
  try {
    const columns = {
      spine: carriedColumns(spine, recipe.columns).map((slot) => spine.columns[slot] as Column),
      features: service.features.map(({ name, type }): Column<ValueType> => ({ name, type })),
    }
    await indexSpine(keeper, spine, signal)
    const ranges = rangesOf(spine.rows, 'count' in options.parts ? options.parts.count : Math.ceil(spine.rows / options.parts.rows))
    const { drop: _, ...stored } = spine
    const parts = ranges.map((range, part): PartJob => ({
      part,
      parts: ranges.length,
      range,
      arrivedBefore,
      rule,
      knownBefore,
      spine: stored,
      folder: own.path,
      asOf: recipe.asOf,
      columns: recipe.columns,
      dropIncomplete: recipe.dropIncomplete,
      format: recipe.format,
      service: { id: service.id, fingerprint: service.fingerprint },
    }))
    const queue = queueOf(spine.id)
    await jobs.create(queue, { heartbeatSeconds: options.heartbeatSeconds ?? 30, retries, results: true })
    await jobs.add(
      queue,
      parts.map((data) => ({ data })),
    )
    if (options.work) {
      const ended = AbortSignal.any([stop.signal, ...(signal === undefined ? [] : [signal])])
      working = workOnJobs(jobs, { kinds: [partJobs(tools)], only: queue, signal: ended })
      working.catch(() => undefined) // reported by gather
    }
    const facts = Promise.all([hashOf(db, spine, signal), leftOutOf(db, service, arrivedBefore), refused ?? leaks()])
    reading = facts.catch(() => undefined) // reported below
    const written = await gather(tools, options, spine, parts, working)
    const [digest, leftOut, unchecked] = await facts
    const statistics = collectStatistics([...columns.spine, ...columns.features])
    for (const part of written) statistics.merge(part.statistics)
    const files = written.map(({ part, file, rows, bytes, sha256: hash }) => ({
      partial: join(own.path, file),
      path: join(out, partName(part, recipe.format)),
      rows,
      bytes,
      sha256: hash,
      part: null,
      range: ranges[part] ?? null,
      statistics: [],
    }))
    const manifest = manifestOf(
      { id: randomUUID(), createdAt: new Date().toISOString(), path: out },
      service,
      recipe,
      {
        spine: { time: spine.time, rows: spine.rows, nullKeyRows: spine.nullKeyRows, ...digest },
        join: { rows: spine.rows, xmin: arrivedBefore, ...leftOut },
        missing: missingOf(service, written),
        columns,
        statistics: statistics.result(),
        files,
      },
      unchecked,
    )
    signal?.throwIfAborted()
    await publish(
      keeper,
      manifest,
      files,
      overwrite,
      before.filter((path) => !files.some((file) => file.path === path)),
    )
    return manifest
  } finally {
    stop.abort()
    // its jobs first: who works on one sees that it is gone
    await jobs.remove(queueOf(spine.id)).catch(() => undefined)
    // a table that cannot be dropped now is dropped by the next run
    await dropUnderReaders(keeper, spine).catch(() => undefined)
    await Promise.all([working.catch(() => undefined), reading])
    await own.remove()
  }
}

function partName(part: number, format: DatasetFormat): string {
  return `part-${String(part).padStart(5, '0')}.${format}`
}

/** Waits for all parts; by part. */
async function gather(
  { keeper, jobs }: SharedDatasetTools,
  { signal, onRows }: SharedDatasetOptions,
  spine: Spine,
  parts: readonly PartJob[],
  working: Promise<unknown>,
): Promise<readonly WrittenPart[]> {
  const queue = queueOf(spine.id)
  const written = new Map<number, WrittenPart>()
  const failed = new Promise<never>((_, reject) => void working.catch(reject))
  failed.catch(() => undefined) // reported by the race
  let rows = 0
  let sweep = performance.now() + sweepMs
  onRows?.(0, spine.rows)
  while (written.size < parts.length) {
    signal?.throwIfAborted()
    const come = await jobs.results(queue)
    for (const each of come) {
      if ('failed' in each) throw givenUp(each.failed as PartJob, each.why)
      const result = unpackResult(each.result)
      if ('error' in result) throw refusal(result, parts.length)
      if (written.has(result.part)) continue // one that was taken for gone, and was not
      written.set(result.part, result)
      const { from, to } = (parts[result.part] as PartJob).range
      onRows?.((rows += to - from), spine.rows)
    }
    if (come.length > 0) continue
    if (performance.now() >= sweep) {
      await jobs.sweep(queue)
      if (!(await isSpineHeld(keeper, spine.id))) throw lostSpine()
      sweep = performance.now() + sweepMs
    }
    await Promise.race([setTimeout(pollMs, undefined, { signal }).catch(() => undefined), failed])
  }
  return [...written.values()].toSorted((a, b) => a.part - b.part)
}

function refusal({ part, worker, error }: Extract<ReturnType<typeof unpackResult>, { error: unknown }>, parts: number): LockstepError {
  const { code, message, details } = error
  return new LockstepError(code, `${message} (Part ${part} of ${parts}, by the worker "${worker}".)`, {
    details: { ...details, part, worker },
  })
}

function givenUp({ part, parts }: PartJob, why: string): LockstepError {
  return new LockstepError(
    'INTERNAL',
    `Part ${part} of ${parts} was tried by several workers, and given up: ${why}. See what they print.`,
    {
      details: { part },
    },
  )
}

function lostSpine(): LockstepError {
  return new LockstepError(
    'POSTGRES_UNAVAILABLE',
    'The connection that kept the spine of the export was lost, and with it the spine; run it again.',
  )
}

/** @throws LockstepError `NOT_REPRODUCIBLE` naming a source that tells no arrivals */
async function refuseUnfrozen(db: Database, service: ServicePlan): Promise<void> {
  for (const { plan } of service.uses) {
    const { source } = plan.spec
    if ((await readSourceTable(db, source)).hasXid) continue
    throw new LockstepError(
      'NOT_REPRODUCIBLE',
      `The table of source "${source.name}" has no column "_xid", so several processes cannot read the same rows of it while others arrive. Add the column ("_xid" xid8 NOT NULL DEFAULT pg_current_xact_id()), let "apply" make the table, or export in one process: without parts.`,
      { details: { source: source.name } },
    )
  }
}

async function hashOf(db: Database, spine: Spine, signal: AbortSignal | undefined): Promise<SpineDigest> {
  const hash = createSpineHash(spine)
  await db.snapshot(async (snapshot) => {
    for await (const batch of spineRows(snapshot, spine)) {
      signal?.throwIfAborted()
      hash.update(batch.length, batch.columns)
    }
  })
  return hash.digest()
}

async function leftOutOf(db: Database, service: ServicePlan, arrivedBefore: number) {
  const counts = await db.snapshot(async (snapshot) => {
    const found = []
    const dropped = dropColumns(service.uses.map(({ plan }) => plan))
    for (const { plans } of planPasses(service.uses).flatMap((pass) => pass.streams)) {
      const [plan] = plans
      if (plan === undefined) continue
      found.push({ source: plan.spec.source.name, ...(await countLeftOut(snapshot, plan, arrivedBefore, {}, dropped(plan))) })
    }
    return found
  })
  return sumLeftOut(counts)
}

function missingOf(service: ServicePlan, written: readonly WrittenPart[]) {
  const sum = (of: (part: WrittenPart) => number): number => written.reduce((all, part) => all + of(part), 0)
  const byFeature = Object.fromEntries(service.required.map((name) => [name, sum(({ missing }) => missing.byFeature[name] ?? 0)]))
  return { update: () => undefined, rows: () => sum(({ missing }) => missing.rows), byFeature: () => byFeature }
}

/** What an export into the folder would write over: its parts, whatever their number, and its manifest. */
async function namesIn(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => [])
  return names
    .filter((name) => /^part-\d{5,}\.(parquet|csv|jsonl)$/.test(name) || name === 'manifest.json')
    .map((name) => join(folder, name))
}

/**
 * Makes a hidden folder in the folder of the export, and that where it is not there. What it made goes again, unless
 * something is in it.
 */
async function makeFolder(out: string, name: string): Promise<{ readonly path: string; remove(): Promise<void> }> {
  const path = join(out, name)
  const made = await mkdir(path, { recursive: true }).catch((cause: unknown) => {
    throw writeFailed(path, cause)
  })
  return {
    path,
    async remove() {
      await rm(path, { recursive: true, force: true }).catch(() => undefined)
      for (let folder = out; made !== undefined && folder.length >= made.length; folder = dirname(folder)) {
        const removed = await rmdir(folder).then(
          () => true,
          () => false,
        )
        if (!removed) break
      }
    },
  }
}
