import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { rootFolder } from '../source-files.ts'

it('docs/errors.md explains every error code once, and no other', () => {
  const [declared = ''] = readFileSync(join(rootFolder, 'kernel/errors.ts'), 'utf8').split('\n\n')
  const page = readFileSync(join(rootFolder, 'docs/errors.md'), 'utf8')
  const explained = [...page.matchAll(/^\| (`[A-Z_]+`(?:, `[A-Z_]+`)*) \|/gm)].flatMap(([, codes = '']) =>
    codes.replaceAll('`', '').split(', '),
  )
  expect(explained.toSorted()).toEqual([...declared.matchAll(/^ {2}\| '([A-Z_]+)'/gm)].map(([, code = '']) => code).toSorted())
})
