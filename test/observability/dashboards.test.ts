import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { dashboardJson } from '../../observability/grafana/source/dashboard.ts'
import { dashboards } from '../../observability/grafana/source/dashboards.ts'
import { rootFolder, sourceFiles } from '../source-files.ts'

const folder = join(rootFolder, 'observability/grafana')

interface Place {
  readonly x: number
  readonly y: number
  readonly w: number
  readonly h: number
}

interface CommittedPanel {
  readonly id: number
  readonly type: string
  readonly title: string
  readonly description?: string
  readonly gridPos: Place
  readonly fieldConfig?: { readonly defaults: { readonly unit: string } }
  readonly targets?: readonly { readonly refId: string; readonly expr: string }[]
}

interface Committed {
  readonly uid: string
  readonly title: string
  readonly panels: readonly CommittedPanel[]
  readonly templating: { readonly list: readonly { readonly name: string }[] }
}

const committed = globSync('*.json', { cwd: folder })
  .toSorted()
  .map((name) => ({ name, text: readFileSync(join(folder, name), 'utf8') }))
const read = committed.map(({ name, text }): Committed & { readonly name: string } => ({ name, ...(JSON.parse(text) as Committed) }))

it('are what their source makes: run "node build/make-dashboards.ts"', () => {
  const made = dashboards.map((dashboard) => ({
    name: `${dashboard.name}.json`,
    text: `${JSON.stringify(dashboardJson(dashboard), null, 2)}\n`,
  }))
  expect(committed).toEqual(made.toSorted((a, b) => (a.name < b.name ? -1 : 1)))
  expect(committed.length).toBeGreaterThanOrEqual(5)
})

it.each(read)('$name has panels that do not overlap and stay within 24 columns', ({ panels }) => {
  const overlaps = panels.flatMap((a, i) =>
    panels.slice(i + 1).flatMap((b) => {
      const [p, q] = [a.gridPos, b.gridPos]
      return p.x < q.x + q.w && q.x < p.x + p.w && p.y < q.y + q.h && q.y < p.y + p.h ? [`${a.title} and ${b.title}`] : []
    }),
  )
  expect(overlaps).toEqual([])
  expect(panels.filter(({ gridPos: { x, w, h } }) => x + w > 24 || w < 1 || h < 1)).toEqual([])
})

it.each(read)('$name has a title, a description, a unit and queries for each panel, and ids only once', ({ panels }) => {
  const lacking = panels.filter(
    ({ type, title, description = '', fieldConfig, targets = [] }) =>
      title === '' ||
      (type !== 'row' && (!/^[A-Z0-9].*\.$/.test(description) || fieldConfig?.defaults.unit === undefined || targets.length === 0)),
  )
  expect(lacking.map(({ title }) => title)).toEqual([])
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length)
  expect(panels.length).toBeGreaterThan(5)
  // a title twice on a dashboard says that one of them says too little
  expect(new Set(panels.map(({ title }) => title)).size).toBe(panels.length)
})

it.each(read)('$name uses only variables that it declares', ({ panels, templating }) => {
  const names = templating.list.map(({ name }) => name)
  const used = JSON.stringify(panels).matchAll(/\$\{?([a-z_]+)/g)
  const unknown = [...used].map(([, name = '']) => name).filter((name) => name !== '__rate_interval' && !names.includes(name))
  expect(unknown).toEqual([])
})

it('have ids of their own, and read metrics that exist', () => {
  expect(new Set(read.map(({ uid }) => uid)).size).toBe(read.length)
  const product = ['runtime', 'online', 'inference', 'materializer', 'monitoring', 'serving'].flatMap((room) => sourceFiles([room]))
  const texts = product.map(({ path }) => readFileSync(join(rootFolder, path), 'utf8')).join('\n')
  const names = new Set(committed.flatMap(({ text }) => text.match(/\blockstep_[a-z_]+\b/g) ?? []))
  const metrics = [...names].map((name) => name.replace(/_(bucket|count|sum)$/, ''))
  expect(metrics.length).toBeGreaterThan(40)
  expect(metrics.filter((name) => !texts.includes(`'${name}'`))).toEqual([])
})
