import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { unitPlace } from '../../statistics/assign.ts'
import { during, openServer } from '../opened-database.ts'
import { rootFolder } from '../source-files.ts'
import cases from './places.json' with { type: 'json' }

const opened = during(() => openServer({ migrate: false }))
const page = readFileSync(join(rootFolder, 'docs/rollouts.md'), 'utf8')
/** The line of that language on the page about rollouts. */
const documented = (language: string) => new RegExp(`^\`\`\`${language}\\n(.+)\\n\`\`\`$`, 'm').exec(page)?.[1] ?? ''
const expected = cases.map(({ place }) => place)

it('places units alike in TypeScript, PostgreSQL and Python', async () => {
  expect(cases.map(({ salt, unit }) => unitPlace(salt, unit))).toEqual(expected)
  const rows = await opened().db.query<{ place: number }>(
    `select ${documented('sql')} as place
     from json_to_recordset($1::json) as given (salt text, unit text)`,
    [JSON.stringify(cases)],
  )
  expect(rows.map(({ place }) => place)).toEqual(expected)
  const python = process.env['LOCKSTEP_TEST_PYTHON'] ?? 'python3'
  const program = `
import hashlib, json, sys
place = lambda salt, unit: ${documented('python')}
print(json.dumps([place(case["salt"], case["unit"]) for case in json.load(sys.stdin)]))`
  expect(JSON.parse(execFileSync(python, ['-c', program], { input: JSON.stringify(cases), encoding: 'utf8' }))).toEqual(expected)
})
