import { spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { partialName } from '../../runtime/files/partial-file.ts'
import { manifestOf } from '../../serving/batch/batch-job.ts'
import type { BatchOutput } from '../../serving/batch/batch-output.ts'
import type { BatchPart, BatchPlan, BatchSpec } from '../../serving/batch/batch-spec.ts'
import { createFolderOutput } from '../../serving/batch/folder-output.ts'
import { during, openServer } from '../opened-database.ts'

// The folder of a batch on a disk.

const opened = during(() => openServer())
const job = 1_000_000
const columns = [{ name: 'part', type: { kind: 'int32' } }] as const
const ordinal = { name: '_ordinal', type: { kind: 'int64' }, sql: '' } as const
const spine = { id: 1, columns: [ordinal], time: 'at', rows: 3, firstTime: 0, lastTime: 0, nullKeyRows: 0 }
const plan: BatchPlan = { spine, parts: 3, sourceFiles: [] }
let root: string

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'lockstep-batch-folder-'))
})
afterAll(() => rm(root, { recursive: true, force: true }))

describe('the folder of a batch', () => {
  it('is not complete if another program has removed or replaced a part', async () => {
    const { path, output, spec } = folderOf('robbed')
    const parts = await writeParts(output)
    await rm(join(path, 'part-00001.csv'))
    const message = expect.stringContaining('1 were removed or replaced since they were written, "part-00001.csv"') as string
    await expect(output.complete(manifestOf(job, spec, plan, parts, []))).rejects.toMatchObject({ code: 'FILE_CHANGED', message })
    await output.clean(parts)
    expect(await readdir(path)).toEqual([])
  })

  it.each(['complete', 'clean'] as const)('loses what killed workers left of it: %s', async (end) => {
    const { path, output, spec } = folderOf(end)
    await mkdir(path)
    const left = await leavePartial(join(path, 'part-00001.csv'), endedProcess())
    const kept = [
      await leavePartial(join(path, 'part-00002.csv'), process.pid),
      await leavePartial(join(path, 'report.csv'), endedProcess()),
    ]
    const parts = await writeParts(output)
    expect(await readdir(path)).toContain(left)
    if (end === 'complete') await output.complete(manifestOf(job, spec, plan, parts, []))
    else await output.clean(parts)
    const files = end === 'complete' ? ['_SUCCESS', '_manifest.json', ...parts.map(({ name }) => name)] : []
    expect((await readdir(path)).toSorted()).toEqual([...kept, ...files].toSorted())
  })
})

function folderOf(name: string): { readonly path: string; readonly output: BatchOutput; readonly spec: BatchSpec } {
  const path = join(root, name)
  const spec: BatchSpec = {
    id: name,
    createdAt: '2026-01-01T00:00:00Z',
    request: {
      model: 'echo',
      version: null,
      spine: { sql: 'select 1' },
      time: 'at',
      asOf: 'at',
      knownBefore: null,
      columns: null,
      out: pathToFileURL(path).href,
      format: 'csv',
      mode: 'replace',
      key: null,
      onlineMicros: null,
      rowsPerPart: 1,
      maxRefused: null,
      minRows: null,
      overwrite: false,
    },
    version: 1,
    sha256: '',
    service: { id: 'flight@1', fingerprint: '' },
    arrivedBefore: 0,
    etag: null,
    key: [],
    store: null,
    schedule: null,
  }
  return { path, spec, output: createFolderOutput(opened().db, job, spec) }
}

/** Begins the batch, and writes three parts of one row. */
async function writeParts(output: BatchOutput): Promise<BatchPart[]> {
  await output.begin(columns, 'at')
  const parts: BatchPart[] = []
  for (const part of [0, 1, 2]) {
    const writer = await output.part(part, columns)
    await writer.write([[part]])
    parts.push({ ...(await writer.seal()), refused: 0, cpuSeconds: 0, memory: { peakMegabytes: 1 } })
  }
  return parts
}

function endedProcess(): number {
  return spawnSync(process.execPath, ['-e', '']).pid
}

/** Leaves the incomplete file of a process that died. @returns its name */
async function leavePartial(path: string, pid: number): Promise<string> {
  const partial = (await partialName(path)).replace(`-${process.pid}-`, `-${pid}-`)
  await writeFile(partial, 'begun')
  return partial.slice(partial.lastIndexOf('/') + 1)
}
