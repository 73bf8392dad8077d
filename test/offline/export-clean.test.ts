import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { exportsInParts } from '../../offline/distributed-export/export-in-parts.ts'
import type { ExportSpec } from '../../offline/distributed-export/export-spec.ts'
import { exportFolder, exportTable } from '../../offline/distributed-export/export-spec.ts'
import { during, openServer } from '../opened-database.ts'

const opened = during(openServer)
let out: string
beforeAll(async () => {
  out = await mkdtemp(join(tmpdir(), 'lockstep-export-'))
})
afterAll(() => rm(out, { recursive: true, force: true }))

it('leftovers of an export are removed only by the process that owns the step', async () => {
  const { db } = opened()
  const kind = exportsInParts({ db, find: () => Promise.reject(new Error('not asked for')) })
  const spec: ExportSpec = {
    id: '00000000-0000-4000-8000-000000000000',
    createdAt: '2001-01-01T00:00:00.000Z',
    service: { id: 'flight@1', fingerprint: 'f' },
    recipe: {
      spine: { sql: 'select 1' },
      time: null,
      order: 'given',
      sample: null,
      rule: { knowledge: 'latest', freshness: 'ideal' },
      asOf: 'at',
      knownBefore: null,
      arrivedBefore: null,
      columns: null,
      dropIncomplete: false,
      format: 'csv',
    },
    parts: { count: 1 },
    out,
    overwrite: false,
  }
  const job = { id: 7, subject: 'flight@1', scope: '', moment: null, chunks: 0, spec, plan: null }
  await mkdir(exportFolder(out, 7))
  await db.query(`CREATE TABLE ${exportTable(7)} (n int)`)
  const isLeft = async (): Promise<unknown> => [
    existsSync(exportFolder(out, 7)),
    (await db.query<{ is: boolean }>('SELECT to_regclass($1) IS NOT NULL AS is', [exportTable(7)]))[0]?.is,
  ]
  const clean = async (isHeld: boolean): Promise<void> =>
    await kind.clean?.(job, [], {
      signal: new AbortController().signal,
      worker: 'w',
      attempt: 0,
      progress: () => undefined,
      isHeld: () => Promise.resolve(isHeld),
    })
  await clean(false)
  expect(await isLeft()).toEqual([true, true])
  await clean(true)
  expect(await isLeft()).toEqual([false, false])
})
