import { absoluteName } from '../../runtime/storage/object-store.ts'
import type { BatchAnswer } from '../../serving/protocols/http/jobs/batches-route.ts'
import { ago, bytes, count, counted, duration } from './human.ts'
import { table } from './table.ts'

/** The id or output of a batch: of a folder on a disk its path, as users write it, in place of its URL. */
export function batchName(idOrOut: string): string {
  return idOrOut.startsWith('file:') ? absoluteName(idOrOut) : idOrOut
}

export function batchText({
  id,
  state,
  model,
  version,
  out,
  rows,
  parts,
  partsDone,
  secondsLeft,
  error,
  result,
  job,
}: BatchAnswer): string {
  const left = secondsLeft === null ? '' : `, about ${duration(secondsLeft * 1000)} left`
  return [
    `Batch ${batchName(id)} of ${model}@${version}: ${state}, ${count(partsDone)} of ${counted(parts, 'part')} done${left} (job ${job}).`,
    `Output: ${batchName(out)}`,
    ...(result === null
      ? [`Rows so far: ${count(rows)}.`]
      : [
          `${counted(result.rows, 'row')}, ${count(result.refused)} without a prediction, ${bytes(result.bytes)}.`,
          `${result.cpuSeconds.toFixed(1)} CPU seconds (${count(result.rowsPerCpuSecond)} rows a CPU second), at most ${count(result.peakMegabytes)} MB in one process.`,
        ]),
    ...(error === null ? [] : [`Failed: ${error.code}: ${error.message}`]),
  ].join('\n')
}

export function batchTable(batches: readonly BatchAnswer[]): string {
  return table(
    ['ID', 'MODEL', 'STATE', 'PARTS', 'ROWS', 'REFUSED', 'BEGUN'],
    batches.map((batch) => [
      batchName(batch.id),
      `${batch.model}@${batch.version}`,
      batch.state,
      `${count(batch.partsDone)} of ${count(batch.parts)}`,
      count(batch.rows),
      count(batch.refused),
      ago(Date.now() - Date.parse(batch.submittedAt)),
    ]),
  )
}
