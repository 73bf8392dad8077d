import { spawnSync } from 'node:child_process'
import { pathToFileURL } from 'node:url'
import { expect, it } from 'vitest'
import { bareEnvironment } from '../bare-environment.ts'
import { programFile } from '../cli/run-lockstep.ts'

it('commands start without loading the client behind fetch', () => {
  const program = `
    const { run } = await import(${JSON.stringify(pathToFileURL(programFile('cli/run')).href)})
    await run(['serve', '--help'], new AbortController().signal)
    console.error(JSON.stringify(process.moduleLoadList))`
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], { env: bareEnvironment, encoding: 'utf8' })
  expect(stdout).toContain('lockstep serve')
  const loaded = JSON.parse(stderr) as string[]
  expect(loaded).toContain('NativeModule http')
  expect(loaded.filter((name) => name.includes('undici'))).toEqual([])
})
