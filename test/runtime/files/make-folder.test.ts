import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, it } from 'vitest'
import { makeFolder } from '../../../runtime/files/make-folder.ts'
import { createFolderStore } from '../../../runtime/storage/folder-store.ts'

it('a folder is made with those above it, once, and the first new one is named', async () => {
  const base = await mkdtemp(join(tmpdir(), 'lockstep-folders-'))
  try {
    const path = join(base, 'a/b/c')
    const made = await Promise.all([makeFolder(path), makeFolder(path)])
    expect(made).toContain(join(base, 'a'))
    expect((await stat(path)).isDirectory()).toBe(true)
    expect(await makeFolder(path)).toBeUndefined()
    await writeFile(join(base, 'file'), '')
    await expect(makeFolder(join(base, 'file/below'))).rejects.toMatchObject({ code: 'EEXIST' })
    await expect(makeFolder(join(base, 'file'))).rejects.toMatchObject({ code: 'EEXIST' })
  } finally {
    await rm(base, { recursive: true })
  }
})

it('a place that takes no files, a device and a pipe are refused at once', async () => {
  const store = createFolderStore()
  const write = (path: string) => store.write(pathToFileURL(path).href, { overwrite: true })
  await expect(write('/proc/lockstep/part.parquet')).rejects.toMatchObject({ code: 'WRITE_FAILED' })
  await expect(write('/dev/null')).rejects.toMatchObject({
    code: 'WRITE_FAILED',
    message: '"/dev/null" is no regular file, so nothing is written to it. Choose another place.',
  })
})
