import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { run } from '../services/binaries.ts'
import { rootFolder, sourceFiles } from '../source-files.ts'
import { prometheusProgram } from './prometheus.ts'

const folder = join(rootFolder, 'observability/prometheus')
const rules = readFileSync(join(folder, 'rules.yaml'), 'utf8')

describe('the rules for Prometheus', () => {
  let tool = ''
  beforeAll(async () => {
    tool = await prometheusProgram('promtool')
  }, 600_000)

  it('are valid', async () => {
    const { stdout } = await run(tool, ['check', 'rules', 'rules.yaml'], { cwd: folder })
    expect(stdout).toMatch(/SUCCESS: \d+ rules found/)
  })

  it('are read by a valid configuration in deploy/', async () => {
    const file = join(rootFolder, 'deploy/monitoring/prometheus.yaml')
    const { stdout } = await run(tool, ['check', 'config', '--syntax-only', file])
    expect(stdout).toContain('SUCCESS')
  })

  it('raise alerts for faults, and none for healthy traffic', async () => {
    const { stdout, stderr } = await run(tool, ['test', 'rules', 'rules.test.yaml'], { cwd: folder })
    expect(stdout + stderr).toContain('SUCCESS')
  })

  it('read metrics that exist', () => {
    const product = ['runtime', 'online', 'inference', 'materializer', 'monitoring', 'serving', 'training'].flatMap((room) =>
      sourceFiles([room]),
    )
    const texts = product.map(({ path }) => readFileSync(join(rootFolder, path), 'utf8')).join('\n')
    const read = new Set(rules.match(/\blockstep_[a-z_]+\b/g)?.map((name) => name.replace(/_(bucket|count|sum)$/, '')))
    expect(read.size).toBeGreaterThanOrEqual(20)
    expect([...read].filter((name) => !texts.includes(`'${name}'`))).toEqual([])
  })

  it('have a runbook in the docs for each alert', () => {
    const books = [...rules.matchAll(/runbook_url: (docs\/[a-z-]+\.md)#([a-z-]+)/g)]
    expect(books).toHaveLength(rules.match(/- alert: /g)?.length ?? 0)
    for (const [, page = '', anchor = ''] of books) {
      const headings = readFileSync(join(rootFolder, page), 'utf8').matchAll(/^##+ (.*)$/gm)
      const anchors = [...headings].map(([, heading = '']) =>
        heading
          .toLowerCase()
          .replaceAll(/[^a-z0-9 -]/g, '')
          .replaceAll(' ', '-'),
      )
      expect(anchors, page).toContain(anchor)
    }
  })
})
