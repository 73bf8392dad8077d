import { execFileSync } from 'node:child_process'
import { expect, it } from 'vitest'
import { shellText } from '../../ui/parts/shell-text.ts'

it('a text of a client is one word of a command, which runs nothing of it', () => {
  const texts = [
    '',
    '$(touch x)',
    '`id`',
    "'; id; '",
    '{"airport":"\'$(id)\'"}',
    'a b',
    '\\',
    "\\'",
    '!!',
    '*',
    '~',
    '#x',
    '-n',
    '$IFS',
    '\u202e',
    'r|id&',
  ]
  const said = execFileSync('sh', ['-c', `printf '[%s]\\n' ${texts.map(shellText).join(' ')}`], { encoding: 'utf8' })
  expect(said.trimEnd().split('\n')).toEqual(texts.map((text) => `[${text}]`))
  expect(['airport:ATL', 'airport_delays@1', '0b9c-7'].map(shellText)).toEqual(['airport:ATL', 'airport_delays@1', '0b9c-7'])
})
