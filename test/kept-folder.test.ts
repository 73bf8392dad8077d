import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { keptFolder, makeFolderOnce } from './kept-folder.ts'

let parent = ''
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'lockstep-kept-'))
})
afterEach(() => rm(parent, { recursive: true, force: true }))

async function fill(folder: string): Promise<void> {
  await writeFile(join(folder, 'complete.txt'), '')
}

/** The folders beside the locks. */
async function folders(): Promise<string[]> {
  return (await readdir(parent)).filter((name) => !name.endsWith('.owner'))
}

it('makes a folder again when a process is killed while it makes it', async () => {
  const folder = join(parent, 'made')
  const child = fork(join(import.meta.dirname, 'kept-folder-process.ts'), [folder])
  const ended = once(child, 'exit')
  try {
    expect((await once(child, 'message'))[0]).toBe('begun')
    expect(await folders()).toEqual([expect.stringMatching(/^made\.partial-/)])
    const made = makeFolderOnce(folder, fill)
    child.kill('SIGKILL')
    await ended
    await made
  } finally {
    child.kill('SIGKILL')
  }
  expect(await folders()).toEqual(['made'])
  expect(await readdir(folder)).toEqual(['complete.txt'])
})

it('makes a folder again when making it failed', async () => {
  const folder = join(parent, 'made')
  const broken = makeFolderOnce(folder, async (partial) => {
    await writeFile(join(partial, 'partial.txt'), '')
    throw new Error('The disk is full.')
  })
  await expect(broken).rejects.toThrow('The disk is full.')
  await makeFolderOnce(folder, fill)
  expect(await folders()).toEqual(['made'])
  expect(await readdir(folder)).toEqual(['complete.txt'])
})

it('makes a folder once for all that ask at the same time, until a source changes', async () => {
  let made = 0
  const ask = (sources: readonly string[]) =>
    keptFolder(parent, sources, async (folder) => {
      made++
      await fill(folder)
    })
  const asked = await Promise.all(Array.from({ length: 4 }, () => ask(['package.json'])))
  expect(new Set(asked).size).toBe(1)
  expect(made).toBe(1)
  expect(await ask(['package.json', 'LICENSE'])).not.toBe(asked[0])
  expect(made).toBe(2)
  expect(await folders()).toHaveLength(2)
})
