import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { programFile } from '../cli/run-lockstep.ts'
import type { TestRegistry } from './databases.ts'
import { openRegistry } from './databases.ts'
import { flightsTable } from './sample-set.ts'

/** A process that applies a sample set on request. */
function applier(url: string, version: number) {
  const child = spawn(process.execPath, [programFile('test/registry/apply-child'), url, String(version)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  const line = async (): Promise<string> => String((await lines.next()).value)
  return {
    ready: line,
    apply: async (): Promise<unknown> => {
      child.stdin.end('apply\n')
      return JSON.parse(await line())
    },
  }
}

describe('apply in separate processes at once', () => {
  let registry: TestRegistry
  beforeAll(async () => {
    registry = await openRegistry('postgres')
    await registry.db.script(flightsTable)
  })
  afterAll(async () => {
    await registry?.close()
  })

  it('runs one at a time: each change counts once, and each table is created once', async () => {
    const children = [1, 2, 1, 2].map((version) => applier(registry.url ?? '', version))
    expect(await Promise.all(children.map((child) => child.ready()))).toEqual(Array(4).fill('ready'))
    const results = (await Promise.all(children.map((child) => child.apply()))) as { changed?: boolean; revision?: number; code?: string }[]
    expect(results.map(({ code }) => code)).toEqual(Array(4).fill(undefined))
    const changed = results.filter((result) => result.changed).map(({ revision }) => revision)
    expect(changed.toSorted((a, b) => Number(a) - Number(b))).toEqual(Array.from({ length: changed.length }, (_, i) => i + 1))
    const [state] = await registry.db.query<{ revision: string }>('select revision from lockstep.registry_state')
    expect(Number(state?.revision)).toBe(changed.length)
    expect(await registry.db.query(`select version from lockstep.definitions where name = 'airport_delays' order by 1`)).toEqual([
      { version: 1 },
      { version: 2 },
    ])
    expect(await registry.db.query(`select 1 from pg_indexes where tablename = 'weather'`)).toHaveLength(3)
  })
})
