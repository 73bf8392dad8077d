import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

describe('a process that may open few files', () => {
  const folder = join(import.meta.dirname, '../../runtime')
  const program = `
    const { warnOfFewFiles } = await import(${JSON.stringify(join(folder, 'open-files.ts'))})
    const { createLogger } = await import(${JSON.stringify(join(folder, 'log.ts'))})
    warnOfFewFiles(createLogger('info', { write: (line) => void process.stdout.write(line) }))`
  const said = (limit: number): string =>
    execFileSync('/bin/sh', ['-c', `ulimit -n ${limit}; exec "$0" "$@"`, process.execPath, '--input-type=module', '-e', program], {
      stdio: 'pipe',
    }).toString()

  it('warns with the limit and what to do', () => {
    expect(said(200)).toMatch(/may have 200 files and connections open\. .* Raise \\"ulimit -n\\" to 2048 or more\./)
  })

  it('says nothing if they are enough', () => {
    expect(said(4096)).toBe('')
  })
})
