import type { FilesSpec } from '../../kernel/specs/files-spec.ts'
import { filesPattern } from '../../kernel/specs/files-spec.ts'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { parseSchedule } from '../../kernel/schedule.ts'
import { parseTimestamp } from '../../kernel/values/time.ts'
import { show } from '../../kernel/values/value-type.ts'
import type { SourceRelation } from '../../kernel/specs/view-spec.ts'
import type { StreamSpec } from '../../kernel/specs/stream-spec.ts'

/**
 * Parquet files, on a disk or in object storage, that feed a source. `lockstep source sync` and workers load each file
 * once into the table of the source. The files must not change: new rows go into new files.
 *
 * @param files absolute paths or URLs (`s3://`, `gs://`), which may contain `*`, `**`, `?` and `{a,b}`. A name that
 *   ends in `/` stands for all `.parquet` files below it. Folders called `column=value` give that column
 * @param options.from leaves out rows with an earlier event time, as in `'2026-01-01'`. Files and row groups that have
 *   no others are not read. Default: all rows are loaded
 * @param options.schedule when workers look for new files: five fields of cron, in UTC. Default: only `lockstep source
 *   sync` does
 * @example source('landings', { …, files: parquetFiles('s3://lake/landings/', { schedule: '*\/10 * * * *' }) })
 * @throws LockstepError `DEFINITIONS_INVALID`, `INVALID_TIME`, `INVALID_SCHEDULE`
 */
export function parquetFiles(
  files: string | readonly string[],
  options: { readonly from?: string; readonly schedule?: string } = {},
): FilesSpec {
  const patterns = (Array.isArray(files) ? files : [files]).map(checkPattern)
  const [first] = patterns
  if (first === undefined) throw new LockstepError('DEFINITIONS_INVALID', 'parquetFiles() names no files; give a path or a URL.')
  const unknown = Object.keys(options).find((field) => field !== 'from' && field !== 'schedule')
  if (unknown !== undefined)
    throw new LockstepError('DEFINITIONS_INVALID', `The files "${first}" have an unknown option "${unknown}"; use from and schedule.`)
  const stated: FilesSpec = {
    patterns: Object.freeze(patterns),
    fromMicros: options.from === undefined ? null : fromOf(options.from, first),
    schedule: options.schedule === undefined ? null : scheduleOf(options.schedule, first),
  }
  Object.defineProperty(stated, brand, { value: true, enumerable: false })
  return Object.freeze(stated)
}

/** A registered symbol, so that two copies of the package recognize each other's files. */
const brand: unique symbol = Symbol.for('lockstep.files') as never

/**
 * @throws LockstepError `DEFINITIONS_INVALID` unless it is a result of `parquetFiles`, and Lockstep creates the table
 */
export function filesSpec(
  stated: FilesSpec | undefined,
  relation: SourceRelation,
  stream: StreamSpec | null,
  source: string,
): FilesSpec | null {
  if (stated === undefined) return null
  if (typeof stated !== 'object' || stated === null || !(brand in stated)) {
    throw new LockstepError(
      'DEFINITIONS_INVALID',
      `The source "${source}" has the files ${show(stated)}; write parquetFiles('s3://bucket/folder/').`,
    )
  }
  if (relation.kind !== 'owned') {
    const field = relation.kind === 'table' ? 'table' : 'sql'
    throw new LockstepError(
      'DEFINITIONS_INVALID',
      `The source "${source}" has both "${field}" and "files", but files are loaded into a table that Lockstep creates. Remove one of them.`,
    )
  }
  if (stream !== null)
    throw new LockstepError('DEFINITIONS_INVALID', `The source "${source}" has both a stream and files. Declare two sources.`)
  return stated
}

function checkPattern(pattern: unknown): string {
  if (typeof pattern !== 'string' || !/^(?:(?:s3|gs):\/\/[^/*?{]+\/|file:\/\/\/|\/)./.test(pattern)) {
    throw new LockstepError(
      'DEFINITIONS_INVALID',
      `parquetFiles() got ${show(pattern)}; write an absolute path or a URL, as in "/data/rows/*.parquet" or "s3://bucket/rows/".`,
    )
  }
  return filesPattern(pattern)
}

function fromOf(from: unknown, files: string): number {
  try {
    return parseTimestamp(from as string)
  } catch (cause) {
    throw new LockstepError('INVALID_TIME', `The "from" of the files "${files}" is ${show(from)}: ${messageOf(cause)}`, { cause })
  }
}

function scheduleOf(schedule: unknown, files: string): string {
  try {
    return parseSchedule(schedule as string)
      .text.trim()
      .split(/\s+/)
      .join(' ')
  } catch (cause) {
    throw new LockstepError('INVALID_SCHEDULE', `The schedule of the files "${files}": ${messageOf(cause)}`, { cause })
  }
}
