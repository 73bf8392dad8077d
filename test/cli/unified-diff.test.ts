import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, expect, it } from 'vitest'
import { unifiedDiff } from '../../cli/text/unified-diff.ts'
import { budget } from '../budget.ts'

const folder = mkdtempSync(join(tmpdir(), 'lockstep-diff-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const file = join(folder, 'a file.ts')

it('a patch makes git turn the old text into the new one, line ends included', () => {
  const line = fc.record({ text: fc.constantFrom('', 'a', 'é\r', '+x', '-- y', '@@ -1 +1 @@', '\\ z'), changes: fc.boolean() })
  fc.assert(
    fc.property(fc.array(line, { minLength: 1, maxLength: 40 }), fc.constantFrom('', '\n'), (lines, end) => {
      fc.pre(lines.some(({ changes }) => changes))
      const before = `${lines.map(({ text }) => text).join('\n')}x${end}`
      const after = `${lines.map(({ text, changes }) => (changes ? `new ${text}` : text)).join('\n')}x${end}`
      writeFileSync(file, before)
      execFileSync('git', ['apply', '-'], { cwd: folder, stdio: 'pipe', input: `${unifiedDiff('a file.ts', before, after)}\n` })
      expect(readFileSync(file, 'utf8')).toBe(after)
    }),
    { numRuns: budget(300) },
  )
})
