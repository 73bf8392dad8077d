import { execFileSync } from 'node:child_process'
import { globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { rootFolder } from '../source-files.ts'

// Checks observability/grafana/*.json by the types that Grafana generates from its own schemas, in the npm package
// @grafana/grafana-foundation-sdk: `node test/peers/grafana.ts`. Each object is written as a literal of its type, so
// that the compiler refuses unknown and missing fields and wrong values. It proves nothing about PromQL and looks.

const version = '0.0.21'
const folder = join(rootFolder, 'node_modules/.cache/grafana')
const types = join(folder, 'node_modules/@grafana/grafana-foundation-sdk/dist')
mkdirSync(folder, { recursive: true })
writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }\n')
const npm = ['install', '--ignore-scripts', '--no-audit', '--no-fund', `@grafana/grafana-foundation-sdk@${version}`]
execFileSync('npm', npm, { cwd: folder, stdio: 'inherit' })

// JSON has no enums: each becomes a union of its values
for (const name of globSync('*/types.gen.d.ts', { cwd: types })) {
  const file = join(types, name)
  const text = readFileSync(file, 'utf8')
  writeFileSync(
    file,
    text.replaceAll(/^export declare enum (\w+) \{([^}]*)\}/gm, (_, enumName: string, members: string) => {
      const values = [...members.matchAll(/= (.*?),?$/gm)].map(([, value]) => value)
      return `export type ${enumName} = ${values.join(' | ')};`
    }),
  )
}

interface Panel {
  readonly type: string
  readonly options?: object
  readonly fieldConfig?: { readonly defaults: { readonly custom?: object } }
  readonly targets?: readonly object[]
}

const optionTypes: Readonly<Record<string, string>> = { timeseries: 'timeseries.Options', stat: 'stat.Options', table: 'table.Options' }
const lines = ['common', 'dashboard', 'prometheus', 'stat', 'table', 'timeseries'].map(
  (part) => `import type * as ${part} from '@grafana/grafana-foundation-sdk/${part}'`,
)
lines.push('export type Used = common.DataSourceRef')
const state = (type: string, value: unknown): void => {
  lines.push(`export const v${lines.length}: ${type} = ${JSON.stringify(value)}`)
}
let panelCount = 0
for (const name of globSync('*.json', { cwd: join(rootFolder, 'observability/grafana') })) {
  const found: { readonly panels: readonly Panel[] } = JSON.parse(readFileSync(join(rootFolder, 'observability/grafana', name), 'utf8'))
  state('Omit<dashboard.Dashboard, "panels">', { ...found, panels: undefined })
  for (const panel of found.panels) {
    if (panel.type === 'row') {
      state('dashboard.RowPanel', panel)
      continue
    }
    panelCount++
    state('Omit<dashboard.Panel, "targets">', { ...panel, targets: undefined })
    state(optionTypes[panel.type] ?? 'never', panel.options)
    if (panel.fieldConfig?.defaults.custom !== undefined) state('timeseries.FieldConfig', panel.fieldConfig.defaults.custom)
    for (const target of panel.targets ?? []) state('Omit<prometheus.Dataquery, "_implementsDataqueryVariant" | "dataqueryType">', target)
  }
}
writeFileSync(join(folder, 'check.ts'), `${lines.join('\n')}\n`)
const compilerOptions = { noEmit: true, strict: true, skipLibCheck: true, module: 'nodenext', types: [] }
writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['check.ts'] }))
execFileSync(join(rootFolder, 'node_modules/.bin/tsc'), ['-p', folder], { stdio: 'inherit' })
process.stdout.write(`${panelCount} panels are valid by @grafana/grafana-foundation-sdk ${version}.\n`)
