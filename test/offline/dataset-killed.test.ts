import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { parseTimestamp } from '../../kernel/time.ts'
import { createDataset } from '../../offline/dataset.ts'
import { during, openServer } from '../opened-database.ts'
import { manyThings, thingsService } from './things-set.ts'
import { createThings } from './things.ts'

describe('a training set that another process is writing', () => {
  const opened = during(() => openServer())
  let folder: string
  beforeAll(async () => {
    const eventTime = parseTimestamp('2001-03-01T12:00:00Z')
    const rows = Array.from({ length: 7 }, (_, i) => ({
      thing: `thing ${i}`,
      eventTime,
      knownTime: null,
      tie: i,
      values: [i, null, null, null],
    }))
    await createThings(opened().db, 'things', rows)
  })
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lockstep-killed-'))
  })
  afterEach(() => rm(folder, { recursive: true }))

  const out = () => join(folder, 'set.csv')
  const create = (path: string) => createDataset(opened().db, thingsService, { spine: { sql: manyThings }, out: path })
  const partials = async () => (await readdir(folder)).filter((name) => name.endsWith('.partial'))

  /** A process with a part of the set written. */
  async function standing() {
    const go = join(folder, 'go')
    const child = fork(new URL('standing-process.ts', import.meta.url), [opened().url, out(), go], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    const exited = once(child, 'exit')
    const errors = child.stderr?.toArray()
    await Promise.race([once(child, 'message'), exited.then(async () => Promise.reject(new Error(String(await errors))))])
    return { child, exited, go }
  }

  it('leaves nothing behind when it is killed and made again, which gives the bytes of one that never was', async () => {
    const { child, exited } = await standing()
    child.kill('SIGKILL')
    await exited
    expect(await partials()).toEqual([expect.stringMatching(/^\.set\.csv\..*\.partial$/)])
    // of a machine of which nothing is known here, and of somebody else
    const others = ['.set.csv.00000000-1-00000000.partial', '.mine.partial']
    for (const name of others) await writeFile(join(folder, name), 'half')
    const again = await create(out())
    expect((await readdir(folder)).toSorted()).toEqual([...others, 'set.csv', 'set.csv.manifest.json'].toSorted())
    const undisturbed = await create(join(folder, 'undisturbed.csv'))
    expect(again.file.sha256).toBe(undisturbed.file.sha256)
    expect(await readFile(out())).toEqual(await readFile(join(folder, 'undisturbed.csv')))
  })

  it('is left alone while that process lives, and comes to its end', async () => {
    const { exited, go } = await standing()
    const [partial] = await partials()
    const other = await create(join(folder, 'other.csv'))
    expect(await partials()).toEqual([partial])
    await writeFile(go, '')
    expect(await exited).toEqual([0, null])
    expect(await readFile(out())).toEqual(await readFile(other.file.path))
    expect(await partials()).toEqual([])
  })
})
