import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { rootFolder } from '../source-files.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-compile-cache-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const script = `
  import { keepCompiled } from '${join(rootFolder, 'runtime/compile-cache.ts')}'
  keepCompiled()
  await import('${join(rootFolder, 'kernel/values/time.ts')}')
  process.stdout.write(process.env.NODE_COMPILE_CACHE ?? 'none')`

/** The variables of the cache that a process with an empty environment passes to its children. */
async function told(env: Readonly<Record<string, string>>): Promise<string> {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script], { env })
  expect(stderr).toBe('')
  return stdout
}

it("keeps compiled code in the user's cache folder", async () => {
  const main = join(rootFolder, 'cli/main.ts')
  await promisify(execFile)(process.execPath, [main, '--version'], { env: { XDG_CACHE_HOME: join(folder, 'cache') } })
  expect(await readdir(join(folder, 'cache/lockstep/compiled'))).toEqual([expect.stringContaining(process.version)])
  expect(await told({ HOME: folder })).toBe(join(folder, '.cache/lockstep/compiled'))
  expect(await readdir(join(folder, '.cache/lockstep/compiled'))).toHaveLength(1)
})

it('keeps it in NODE_COMPILE_CACHE, and nowhere if Node disables it', async () => {
  await told({ XDG_CACHE_HOME: join(folder, 'unused'), NODE_COMPILE_CACHE: join(folder, 'named') })
  expect(await readdir(join(folder, 'named'))).toHaveLength(1)
  expect(await told({ XDG_CACHE_HOME: join(folder, 'unused'), NODE_DISABLE_COMPILE_CACHE: '1' })).toBe('none')
  expect(await readdir(folder)).not.toContain('unused')
})

it('is skipped if the folder cannot be created', async () => {
  await writeFile(join(folder, 'file'), '')
  expect(await told({ XDG_CACHE_HOME: join(folder, 'file') })).toBe('none')
})
