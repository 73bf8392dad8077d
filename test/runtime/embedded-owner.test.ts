import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { loadConfig } from '../../runtime/config.ts'
import { hasEmbeddedOwner, ownEmbeddedFolder } from '../../runtime/embedded/embedded-owner.ts'
import { openDatabase } from '../../runtime/postgres/open-database.ts'
import { programFile } from '../cli/run-lockstep.ts'
import { unlessSlow } from '../unless-slow.ts'

/** An owner that takes 500 ms to answer is not named in full. */
const answerMs = 450

interface Starter {
  readonly child: ChildProcessByStdio<Writable, Readable, null>
  /** Its next line. */
  next(): Promise<{ owns?: boolean; code?: string; error?: string }>
}

describe('the owner of an embedded folder', () => {
  let root: string
  let folder: string
  let starters: Starter[]

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'lockstep-owner-'))
    folder = join(root, '.lockstep')
    starters = []
  })
  afterEach(async () => {
    for (const { child } of starters) child.kill('SIGKILL')
    const living = starters?.filter(({ child }) => child.exitCode === null && child.signalCode === null)
    await Promise.all(living.map(({ child }) => once(child, 'exit')))
    await rm(root, { recursive: true })
  })

  function start(directory = folder, ...more: readonly string[]): Starter {
    const child = spawn(process.execPath, [programFile('test/runtime/owner-process'), directory, ...more], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
    const starter: Starter = {
      child,
      next: async () => JSON.parse(String((await lines.next()).value)) as { owns?: boolean; code?: string; error?: string },
    }
    starters.push(starter)
    return starter
  }

  async function kill({ child }: Starter): Promise<void> {
    child.kill('SIGKILL')
    await once(child, 'exit')
  }

  it('is one process; the second learns who it is and what to do', async () => {
    const first = start()
    expect(await first.next()).toEqual({ owns: true })
    await unlessSlow(answerMs, async () => {
      const second = ownEmbeddedFolder(folder)
      await expect(second).rejects.toMatchObject({
        code: 'EMBEDDED_IN_USE',
        details: { pid: first.child.pid, command: `owner-process.js ${folder}` },
        message: expect.stringMatching(
          new RegExp(
            `process ${first.child.pid} \\("owner-process.js .+"\\)\\. Stop that process, or set LOCKSTEP_POSTGRES_URL, .+ several processes\\.$`,
          ),
        ) as string,
      })
    })
  })

  it('is named with the URL of its server, whatever its command is', async () => {
    expect(await start(folder, 'http://127.0.0.1:9191').next()).toEqual({ owns: true })
    await unlessSlow(answerMs, () => expect(ownEmbeddedFolder(folder)).rejects.toThrow('Or add --server http://127.0.0.1:9191, if'))
  })

  it('releases the folder, and leaves no files in it', async () => {
    const owner = await ownEmbeddedFolder(folder)
    await expect(ownEmbeddedFolder(folder)).rejects.toMatchObject({ code: 'EMBEDDED_IN_USE', details: { pid: process.pid } })
    await owner.release()
    const next = await ownEmbeddedFolder(folder)
    await next.release()
    expect(await readdir(folder)).toEqual([])
  })

  it('is not a process that was killed', async () => {
    const first = start()
    expect(await first.next()).toEqual({ owns: true })
    await kill(first)
    expect((await readdir(folder)).length).toBe(1)
    const owner = await ownEmbeddedFolder(folder)
    expect((await readdir(folder)).length).toBe(1)
    await owner.release()
  })

  it('is still a stopped process that answers nobody', async () => {
    const first = start()
    expect(await first.next()).toEqual({ owns: true })
    first.child.kill('SIGSTOP')
    await expect(ownEmbeddedFolder(folder)).rejects.toMatchObject({ code: 'EMBEDDED_IN_USE', details: { pid: first.child.pid } })
    expect(await hasEmbeddedOwner(folder)).toBe(true)
    await kill(first)
    expect(await hasEmbeddedOwner(folder)).toBe(false)
  })

  it('is exactly one of many that start at once after the last owner was killed', async () => {
    const dead = start()
    expect(await dead.next()).toEqual({ owns: true })
    await kill(dead)
    for (let round = 0; round < 3; round++) {
      const many = Array.from({ length: 5 }, () => start())
      const answers = await Promise.all(many.map((starter) => starter.next()))
      expect(answers.filter((answer) => answer.owns === true).length).toBe(1)
      expect(answers.filter((answer) => answer.code === 'EMBEDDED_IN_USE').length).toBe(4)
      const owner = many[answers.findIndex((answer) => answer.owns === true)]
      if (owner !== undefined) await kill(owner)
    }
  })

  it('waits for one that started later and does not answer yet', async () => {
    await mkdir(folder)
    const later = createServer()
    await new Promise<void>((resolve) => later.listen(join(folder, `owner-${Date.now() + 60_000}-${process.pid}-ff.sock`), resolve))
    const owner = ownEmbeddedFolder(folder)
    const asked: Socket[] = []
    const askedTwice = new Promise<void>((resolve) => later.on('connection', (socket) => asked.push(socket) === 2 && resolve()))
    expect(await Promise.race([owner, askedTwice])).toBeUndefined()
    later.close()
    for (const socket of asked) socket.destroy()
    await (await owner).release()
    expect(await readdir(folder)).toEqual([])
  })

  it('is never two, for any order of starts and ends in one process', async () => {
    let owners = 0
    let owned = 0
    const attempt = async (i: number) => {
      await new Promise((resolve) => setTimeout(resolve, i % 50))
      for (let tries = 0; tries < 4; tries++) {
        const owner = await ownEmbeddedFolder(folder).catch(() => null)
        if (owner === null) continue
        owned++
        expect(++owners).toBe(1)
        await new Promise((resolve) => setTimeout(resolve, i % 5))
        owners--
        await owner.release()
      }
    }
    // on a busy machine all attempts of a round may give way to each other
    for (let round = 0; round < 20 && owned < 2; round++) await Promise.all(Array.from({ length: 12 }, (_, i) => attempt(i)))
    expect(owned).toBeGreaterThan(1)
    expect(await readdir(folder)).toEqual([])
  })

  it('owns a folder whose path is too long for a socket', async () => {
    const deep = join(folder, ...Array.from({ length: 12 }, () => 'a-rather-long-name'))
    const owner = await ownEmbeddedFolder(deep)
    await expect(ownEmbeddedFolder(deep)).rejects.toMatchObject({ code: 'EMBEDDED_IN_USE', details: { pid: process.pid } })
    await owner.release()
    const killed = start(deep)
    expect(await killed.next()).toEqual({ owns: true })
    await kill(killed)
    await (await ownEmbeddedFolder(deep)).release()
    expect(await readdir(deep)).toEqual([])
  })

  it('ignores everything else in the folder', async () => {
    await mkdir(folder)
    const other = createServer()
    await new Promise<void>((resolve) => other.listen(join(folder, 'other.sock'), resolve))
    await (await ownEmbeddedFolder(folder)).release()
    expect(await readdir(folder)).toEqual(['other.sock'])
    await new Promise((resolve) => other.close(resolve))
  })

  it('does not keep a process alive that forgot to release it', async () => {
    const starter = start()
    expect(await starter.next()).toEqual({ owns: true })
    const ended = once(starter.child, 'exit')
    starter.child.stdin.end()
    expect(await starter.next()).toEqual({ owns: false })
    expect((await ended)[0]).toBe(0)
  })

  it('is the opener of the embedded database, until it is closed', async () => {
    const config = loadConfig({ LOCKSTEP_DIR: folder })
    const db = await openDatabase(config)
    expect(db.kind).toBe('pglite')
    await expect(openDatabase(config)).rejects.toMatchObject({ code: 'EMBEDDED_IN_USE' })
    await db.close()
    const again = await openDatabase(config)
    await again.ping()
    await again.close()
  })
})
