import { LockstepError } from '../../kernel/errors.ts'
import { parseModelReference } from '../../registry/models/pick-version.ts'
import { openTabularFile } from '../../offline/files/tabular-file.ts'
import type { SpineInput } from '../../offline/spine/spine.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { listBatches } from '../../serving/batch/batch-json.ts'
import { batchName } from '../text/batch-text.ts'
import type { Command } from '../command.ts'
import { count, counted, duration } from '../text/human.ts'
import { spineInput } from '../spine-option.ts'

export const batchEstimateCommand: Command = {
  name: 'batch estimate',
  summary: 'Estimate the CPU time of a batch from the last batch of the model',
  description: ['Counts the rows of the spine, and multiplies them by the CPU time per row of the newest finished batch of the model.'],
  arguments: [{ name: 'MODEL', help: 'The model.' }],
  options: { spine: { value: 'FILE|SQL', help: 'The rows to predict for.', needed: true } },
  example: 'lockstep batch estimate delay --spine june.parquet',
  async run(context, input) {
    const db = await context.database()
    const { model } = parseModelReference(input.argument('MODEL'))
    const [last] = (await listBatches(db, { model, state: 'done' })).toSorted((a, b) => b.job - a.job)
    const cost = last?.result ?? null
    if (last === undefined || cost === null || cost.rowsPerCpuSecond === 0) {
      throw new LockstepError(
        'NOT_FOUND',
        `No batch of the model "${model}" is done, so nothing says what a row costs. Run a small batch first.`,
        {
          details: { model },
        },
      )
    }
    const rows = await rowsOf(db, spineInput(input.needed('spine')))
    const { rowsPerCpuSecond, peakMegabytes } = cost
    const cpuSeconds = rows / rowsPerCpuSecond
    return {
      json: { model, rows, cpuSeconds, rowsPerCpuSecond, peakMegabytes, basedOn: last.id },
      text: [
        `${counted(rows, 'row')}: about ${duration(cpuSeconds * 1000)} of CPU time in Lockstep, without the database.`,
        `The batch ${batchName(last.id)} took ${count(rowsPerCpuSecond)} rows per CPU second, with at most ${count(peakMegabytes)} MB in one process.`,
      ].join('\n'),
    }
  },
}

async function rowsOf(db: Database, spine: SpineInput): Promise<number> {
  if ('sql' in spine) {
    const [found] = await db.snapshot((snapshot) =>
      snapshot.query<{ rows: string }>(`SELECT count(*)::text AS rows FROM (${spine.sql.replace(/;\s*$/, '')}) q`),
    )
    return Number(found?.rows ?? 0)
  }
  if (!('file' in spine)) throw new LockstepError('USAGE', 'The spine is neither a file nor a query.')
  const file = await openTabularFile(spine.file)
  if (file.rows !== null) return file.rows
  let rows = 0
  for await (const batch of file.batches([])) rows += batch.rows
  return rows
}
