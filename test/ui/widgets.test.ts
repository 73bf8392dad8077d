import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { rootFolder } from '../source-files.ts'

/** Elements that Mantine has a component for, as a page would write them itself. */
const own = /<(?:button|table|input|select|textarea|dialog|progress|kbd)\b[^>]{0,40}/g
/** The map of differences is a chart, which no library here draws. */
const drawn = ['ui/pages/parity.tsx <table className="heat"']

it('Each widget of the dashboard that Mantine has is the one of Mantine', () => {
  const files = globSync('ui/**/*.tsx', { cwd: rootFolder })
  const found = files.flatMap((file) => (readFileSync(join(rootFolder, file), 'utf8').match(own) ?? []).map((tag) => `${file} ${tag}`))
  expect(files.length).toBeGreaterThan(50)
  expect(found).toEqual(drawn)
})
