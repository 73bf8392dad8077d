import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'

// Assigns test files to vitest projects by their imports, direct or through a helper.

interface Reached {
  /** Files that use services: those that test/services finds or starts. */
  services: boolean
  /** Files that start processes. */
  processes: boolean
}

const processes = /^(?:import|export|\}).* from 'node:(child_process|cluster|worker_threads)'/m
const helpers = /^(?:import|export|\}).* from '(\.[^']*\.ts)'$/gm
const root = dirname(import.meta.dirname)

interface TestsByProject {
  readonly unit: string[]
  readonly integration: string[]
  readonly slow: string[]
  /** Files that measure, and so run after all others: those named `-alone.test.ts`. */
  readonly alone: string[]
}

export function testsByProject(): TestsByProject {
  const tests: TestsByProject = { unit: [], integration: [], slow: [], alone: [] }
  for (const name of readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.test.ts')) continue
    const path = join('test', name)
    if (name.endsWith('-alone.test.ts')) {
      tests.alone.push(path)
      continue
    }
    const reached = { services: false, processes: false }
    reach(path, reached, new Set())
    tests[reached.processes ? 'slow' : reached.services ? 'integration' : 'unit'].push(path)
  }
  return tests
}

function reach(path: string, reached: Reached, seen: Set<string>): void {
  if (seen.has(path)) return
  seen.add(path)
  if (path.startsWith('test/services/') && !path.endsWith('.test.ts')) {
    reached.services = true
    return
  }
  const text = readFileSync(join(root, path), 'utf8')
  if (processes.test(text)) reached.processes = true
  for (const [, imported = ''] of text.matchAll(helpers)) {
    const helper = join(dirname(path), imported)
    if (helper.startsWith('test/') && existsSync(join(root, helper))) reach(helper, reached, seen)
  }
}
