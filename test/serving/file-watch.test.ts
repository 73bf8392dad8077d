import { execFileSync } from 'node:child_process'
import type { FileHandle } from 'node:fs/promises'
import { open } from 'node:fs/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { createLogger } from '../../runtime/log.ts'
import { countOpenFiles, openFilesLimit } from '../../runtime/open-files.ts'
import { createFileWatch } from '../../serving/lifecycle/file-watch.ts'

const handles: FileHandle[] = []
const closeAll = () => Promise.all(handles.splice(0).map((handle) => handle.close()))
afterEach(closeAll)

const logged: { readonly msg: string; readonly limit: number }[] = []
const log = createLogger('info', { write: (line) => void logged.push(JSON.parse(line) as (typeof logged)[number]) })

describe('the files and sockets of a server', () => {
  it('are limited as the shell says', () => {
    expect(openFilesLimit()).toBe(Number(execFileSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' })))
  })

  it('warn once a minute at most when few are left, until some are closed', async () => {
    const limit = Math.ceil(((await countOpenFiles()) ?? 0) * 1.2) + 200
    const watch = createFileWatch(log, limit)
    await watch.check()
    expect(watch.warnings).toEqual([])
    while (((await countOpenFiles()) ?? 0) < limit) handles.push(await open('/dev/null'))
    // a socket that an earlier file of this process has left may close meanwhile
    const before = (await countOpenFiles()) ?? 0
    await watch.check()
    await watch.check()
    const after = (await countOpenFiles()) ?? 0
    const said = new RegExp(` has (\\d+) of at most ${limit} files and sockets open\\. At the limit`)
    expect(watch.warnings).toEqual([expect.stringMatching(said)])
    const counted = Number(said.exec(watch.warnings[0] ?? '')?.[1])
    expect(counted).toBeLessThanOrEqual(Math.min(limit, Math.max(before, after)))
    expect(counted).toBeGreaterThanOrEqual(Math.min(before, after, limit))
    expect(logged).toMatchObject([{ limit, msg: 'this process can hardly open files or take connections' }])
    await closeAll()
    await watch.check()
    expect(watch.warnings).toEqual([])
  })
})
