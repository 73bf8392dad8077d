import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { rootFolder } from '../source-files.ts'

const script = `
  import { initializeOrt } from '${join(rootFolder, 'inference/initialize-ort.ts')}'
  await initializeOrt()`

it('runs models without telemetry from the runtime', async () => {
  const home = await mkdtemp(join(tmpdir(), 'lockstep-home-'))
  await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script], { env: { HOME: home, TMPDIR: home } })
  expect(await readdir(home)).toEqual([])
  await rm(home, { recursive: true })
})
