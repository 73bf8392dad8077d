import { readFileSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'

// Which test files are of which project of vitest. Files say it themselves, by what they import, but for the slow ones.

/** Test files that take long even on a quiet machine, by name: they are begun first. */
const slow = ['crash', 'commands']

/** What a test or its helpers must not import for the test to be a unit. */
const processes = /^(?:import|export|\}).* from '(node:child_process|node:cluster|node:worker_threads)/m

const root = dirname(import.meta.dirname)

export function testsByProject(): { readonly unit: string[]; readonly integration: string[]; readonly slow: string[] } {
  const files = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => join('test', name))
  const isSlow = (path: string) => slow.some((name) => path.endsWith(`/${name}.test.ts`))
  const isUnit = (path: string) => !reachesProcesses(path, new Set())
  return {
    slow: files.filter(isSlow),
    unit: files.filter((path) => !isSlow(path) && isUnit(path)),
    integration: files.filter((path) => !isSlow(path) && !isUnit(path)),
  }
}

function reachesProcesses(path: string, seen: Set<string>): boolean {
  if (seen.has(path)) return false
  seen.add(path)
  if (path.startsWith('test/services/')) return true
  const text = readFileSync(join(root, path), 'utf8')
  if (processes.test(text)) return true
  const helpers = [...text.matchAll(/^(?:import|export|\}).* from '(\.[^']*\.ts)'$/gm)].map(([, imported = '']) =>
    join(dirname(path), imported),
  )
  return helpers.some((helper) => helper.startsWith('test/') && reachesProcesses(helper, seen))
}
