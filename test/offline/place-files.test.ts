import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { placeFiles } from '../../runtime/files/place-files.ts'
import { refuseExisting } from '../../runtime/files/refuse-existing.ts'

describe('files that belong together', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lockstep-place-'))
  })
  afterEach(() => rm(folder, { recursive: true }))

  /** Pairs of a partial file and the name that it is to get; `null`: the partial is not there. */
  async function sealed(contents: Readonly<Record<string, string | null>>) {
    return await Promise.all(
      Object.entries(contents).map(async ([name, text]) => {
        const partial = join(folder, `.${name}.partial`)
        if (text !== null) await writeFile(partial, text)
        return { partial, path: join(folder, name) }
      }),
    )
  }

  async function found(): Promise<Record<string, string>> {
    const names = (await readdir(folder)).filter((name) => !name.endsWith('.partial'))
    return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await readFile(join(folder, name), 'utf8')])))
  }

  it('get their final names, over existing files or none', async () => {
    await placeFiles(await sealed({ a: 'old a', b: 'old b' }), false)
    expect(await found()).toEqual({ a: 'old a', b: 'old b' })
    await placeFiles(await sealed({ a: 'new a', b: 'new b', c: 'new c' }), true)
    expect(await found()).toEqual({ a: 'new a', b: 'new b', c: 'new c' })
  })

  it('replace no files unless allowed', async () => {
    await writeFile(join(folder, 'b'), 'old b')
    await expect(placeFiles(await sealed({ a: 'new a', b: 'new b' }), false)).rejects.toMatchObject({
      code: 'FILE_EXISTS',
      message: `The file "${join(folder, 'b')}" already exists. Choose another name, or replace it (--overwrite).`,
    })
    expect(await found()).toEqual({ b: 'old b' })
  })

  it('never take the place of a folder', async () => {
    await mkdir(join(folder, 'b'))
    await expect(refuseExisting([join(folder, 'b')])).rejects.toThrow(`"${join(folder, 'b')}" is a folder. Choose a name for a file`)
  })

  it.each([true, false])('leave everything unchanged if one cannot be renamed (overwrite: %s)', async (overwrite) => {
    const old = overwrite ? { a: 'old a', b: 'old b' } : {}
    for (const [name, text] of Object.entries(old)) await writeFile(join(folder, name), text)
    await expect(placeFiles(await sealed({ a: 'new a', b: null }), overwrite)).rejects.toMatchObject({ code: 'WRITE_FAILED' })
    expect(await found()).toEqual(old)
  })

  it('never exist beside an old one, wherever the process is killed', async () => {
    const script = `
      const { placeFiles } = await import(${JSON.stringify(new URL('../../runtime/files/place-files.ts', import.meta.url).href)})
      const { writeFileSync } = await import('node:fs')
      const at = (name) => ${JSON.stringify(folder)} + '/' + name
      process.stdout.write('begun')
      for (let round = 0; ; round++) {
        for (const name of ['a', 'b']) writeFileSync(at('.' + name + '.partial'), String(round))
        await placeFiles(['a', 'b'].map((name) => ({ partial: at('.' + name + '.partial'), path: at(name) })), true)
      }`
    for (let kill = 0; kill < 8; kill++) {
      const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
      await once(child.stdout, 'data')
      await new Promise((resolve) => setTimeout(resolve, 5 + kill * 7))
      child.kill('SIGKILL')
      await once(child, 'exit')
      const [a, b] = [join(folder, 'a'), join(folder, 'b')]
      if (existsSync(a) && existsSync(b)) expect(await readFile(a, 'utf8')).toBe(await readFile(b, 'utf8'))
      for (const name of readdirSync(folder)) await rm(join(folder, name))
    }
  })
})
