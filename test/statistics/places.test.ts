import { execFileSync } from 'node:child_process'
import { expect, it } from 'vitest'
import { placeOf } from '../../statistics/assign.ts'
import { during, openServer } from '../opened-database.ts'
import cases from './places.json' with { type: 'json' }

const opened = during(() => openServer({ migrate: false }))
const expected = cases.map(({ place }) => place)

it('places units alike in TypeScript, PostgreSQL and Python', async () => {
  expect(cases.map(({ salt, unit }) => placeOf(salt, unit))).toEqual(expected)
  const rows = await opened().db.query<{ place: number }>(
    `select (('x' || encode(substr(sha256(convert_to(salt, 'UTF8') || '\\x00' || convert_to(unit, 'UTF8')), 1, 8), 'hex'))::bit(64) >> 11)::bigint / 2::float8 ^ 53 as place
     from json_to_recordset($1::json) as given (salt text, unit text)`,
    [JSON.stringify(cases)],
  )
  expect(rows.map(({ place }) => place)).toEqual(expected)
  const python = process.env['LOCKSTEP_TEST_PYTHON'] ?? 'python3'
  const program = `
import hashlib, json, sys
place = lambda salt, unit: (int.from_bytes(hashlib.sha256(f"{salt}\\0{unit}".encode()).digest()[:8], "big") >> 11) / 2**53
print(json.dumps([place(case["salt"], case["unit"]) for case in json.load(sys.stdin)]))`
  expect(JSON.parse(execFileSync(python, ['-c', program], { input: JSON.stringify(cases), encoding: 'utf8' }))).toEqual(expected)
})
