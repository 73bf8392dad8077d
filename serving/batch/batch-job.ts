import { createHash } from 'node:crypto'
import { LockstepError } from '../../kernel/errors.ts'
import { formatShare } from '../../kernel/values/format-number.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import { typeName } from '../../kernel/values/value-type.ts'
import { dropUnderReaders } from '../../offline/spine/slice-spine.ts'
import type { Spine } from '../../offline/spine/spine.ts'
import { isTemporary } from '../../runtime/is-temporary.ts'
import type { JobKind } from '../../runtime/jobs/job-kind.ts'
import type { BatchTools } from './batch-models.ts'
import { createBatchModels } from './batch-models.ts'
import { createBatchOutput } from './batch-output.ts'
import type { BatchChunk, BatchManifest, BatchPart, BatchPlan, BatchResult, BatchSpec } from './batch-spec.ts'
import { batchKind, batchSpec, batchTable, ordinalName, statusName } from './batch-spec.ts'
import { openOnlinePredictions } from './online-predictions.ts'
import { planBatch } from './plan-batch.ts'
import type { BatchModel } from './write-batch-part.ts'
import { batchColumns, writeBatchPart } from './write-batch-part.ts'

export interface BatchJobs {
  readonly kind: JobKind<BatchSpec, BatchPlan, BatchChunk, BatchPart>
  /** Unloads models. Call it when no step runs. */
  close(): Promise<void>
}

/**
 * Batch inference as jobs: a part is a chunk. An error that every other worker would also get fails the batch.
 *
 *     plan: the spine, by key -> any worker: part 0, part 1 … -> finish: manifest, _SUCCESS
 */
export function createBatchJobs(tools: BatchTools): BatchJobs {
  const { db } = tools
  const models = createBatchModels(tools)
  const outputOf = (id: number, spec: BatchSpec, signal?: AbortSignal) => createBatchOutput(db, id, spec, signal)

  return {
    kind: {
      name: batchKind,
      spec: batchSpec,
      retries: 4,
      backoffSeconds: { from: 1, to: 60 },
      keepDays: 90,
      async plan(job, { signal }) {
        return await models.use(job.spec, (model) => planBatch(db, model, job, outputOf(job.id, job.spec), signal))
      },
      async run({ id, spec, plan }, chunk, step) {
        const spine: Spine = { ...plan.spine, table: batchTable(id), drop: () => Promise.resolve() }
        const online = await openOnlinePredictions(tools, id, spec)
        const task = { ...chunk, request: spec.request, arrivedBefore: spec.arrivedBefore, spine, online }
        try {
          const output = outputOf(id, spec)
          return await models.use(spec, (model) => writeBatchPart(db, model, task, output, step))
        } catch (error) {
          if (!(error instanceof LockstepError) || isTemporary(error)) throw error
          const { worker } = step
          throw new LockstepError(error.code, `${error.message} (Part ${chunk.part} of ${plan.parts}, by the worker "${worker}".)`, {
            cause: error,
            details: { ...error.details, part: chunk.part, worker },
          })
        }
      },
      async drop({ id, spec }, part) {
        await outputOf(id, spec).remove([part])
      },
      async finish({ id, spec, plan }, parts, { signal, isHeld }) {
        const manifest = await models.use(spec, async ({ outputs }) => manifestOf(id, spec, plan, parts, outputs))
        requireFewRefused(spec, manifest)
        signal.throwIfAborted()
        if (!(await isHeld())) throw new LockstepError('STOPPED', `The batch "${spec.id}" has ended, or another worker finishes it.`)
        await outputOf(id, spec, signal).complete(manifest)
        const online = await openOnlinePredictions(tools, id, spec)
        if (online !== null) await models.use(spec, ({ service }) => online.publish(service))
        await dropUnderReaders(db, batchTable(id))
        const { rows, refused, parts: written, bytes, cpuSeconds, rowsPerCpuSecond, peakMegabytes } = manifest
        const sha256 = createHash('sha256')
          .update(written.map((part) => part.sha256).join('\n'))
          .digest('hex')
        return { rows, refused, parts: written.length, sha256, bytes, cpuSeconds, rowsPerCpuSecond, peakMegabytes } satisfies BatchResult
      },
      async clean({ id, spec }, parts, { isHeld }) {
        // if another worker has cleaned already, the batch may have been retried since
        if (!(await isHeld())) return
        await dropUnderReaders(db, batchTable(id))
        await (await openOnlinePredictions(tools, id, spec))?.clean()
        await outputOf(id, spec).clean(parts.filter((part) => part !== null))
      },
      describe({ id, spec, chunks }, { step, number }) {
        return step === 'chunk'
          ? `part ${number} of ${chunks} of the batch "${spec.id}" (job ${id})`
          : `the ${step} of the batch "${spec.id}" (job ${id})`
      },
    },
    close: () => models.close(),
  }
}

export function manifestOf(
  job: number,
  { id, createdAt, request, version, sha256, service, arrivedBefore, etag }: BatchSpec,
  { spine, sourceFiles }: BatchPlan,
  parts: readonly BatchPart[],
  outputs: BatchModel['outputs'],
): BatchManifest {
  const sum = (of: (part: BatchPart) => number): number => parts.reduce((all, part) => all + of(part), 0)
  const [rows, cpuSeconds] = [sum((part) => part.rows), sum((part) => part.cpuSeconds)]
  const originOf = (name: string): 'spine' | 'model' | 'batch' => {
    if (name === ordinalName || name === statusName) return 'batch'
    return outputs.some((output) => output.name === name) ? 'model' : 'spine'
  }
  return {
    id,
    job,
    createdAt,
    model: request.model,
    version,
    modelSha256: sha256,
    service,
    spine: { ...request.spine, ...(etag === null ? {} : { etag }) },
    time: spine.time,
    asOf: request.asOf,
    knownBefore: request.knownBefore === null ? null : formatTimestamp(request.knownBefore),
    arrivedBefore,
    ...(sourceFiles.length === 0 ? {} : { sourceFiles }),
    columns: batchColumns(spine, request, outputs).columns.map(({ name, type }) => ({ name, type: typeName(type), from: originOf(name) })),
    format: request.format,
    rows,
    refused: sum((part) => part.refused),
    parts: parts.map(({ name, rows: held, refused, bytes, sha256: hash, etag: tag }) => ({
      name,
      rows: held,
      refused,
      bytes,
      sha256: hash,
      etag: tag,
    })),
    bytes: sum((part) => part.bytes),
    cpuSeconds: Number(cpuSeconds.toFixed(3)),
    rowsPerCpuSecond: cpuSeconds === 0 ? 0 : Math.round(rows / cpuSeconds),
    peakMegabytes: Math.max(0, ...parts.map(({ memory }) => memory.peakMegabytes)),
  }
}

/** @throws LockstepError `TOO_MANY_REFUSED` */
export function requireFewRefused({ id, request: { maxRefused } }: BatchSpec, { rows, refused }: BatchManifest): void {
  if (maxRefused === null) return
  const allowed = 'rows' in maxRefused ? maxRefused.rows : maxRefused.share * rows
  if (refused <= allowed) return
  const limit = 'rows' in maxRefused ? `${maxRefused.rows}` : formatShare(maxRefused.share, 6)
  throw new LockstepError(
    'TOO_MANY_REFUSED',
    `${refused} of the ${rows} rows of the batch "${id}" have no prediction, and at most ${limit} may. Look at their column "${statusName}" without the limit, mend the rows or their features, and begin the batch again.`,
    { details: { rows, refused } },
  )
}
