import type { CostReport } from '../../monitoring/cost/cost-report.ts'
import { bytes, count, counted, duration, moment } from './human.ts'
import { table } from './table.ts'

/** Prices in one currency; null: not given. */
export interface Prices {
  /** Of one core for an hour. */
  readonly cpuHour: number | null
  /** Of a GB of the online store for a month. */
  readonly memory: number | null
  /** Of a GB of the database for a month. */
  readonly disk: number | null
}

/** The costs of 30 days; null: no price was given, or the size is unknown. */
export interface MonthlyCosts {
  readonly servers: number | null
  readonly models: Readonly<Record<string, number | null>>
  readonly views: Readonly<Record<string, number | null>>
  readonly tables: Readonly<Record<string, number | null>>
}

const monthMinutes = 30 * 1440
const maxTables = 10

export function monthlyCosts({ measuredMinutes, cpuSeconds, models, views, tables }: CostReport, prices: Prices): MonthlyCosts {
  const months = measuredMinutes / monthMinutes
  const ofCpu = (seconds: number) => (prices.cpuHour === null || months === 0 ? null : ((seconds / 3600) * prices.cpuHour) / months)
  const ofBytes = (size: number | null, price: number | null) => (size === null || price === null ? null : (size / 1e9) * price)
  return {
    servers: ofCpu(cpuSeconds),
    models: Object.fromEntries(models.map((each) => [each.model, ofCpu(each.cpuSeconds)])),
    views: Object.fromEntries(views.map((each) => [each.view, ofBytes(each.bytes, prices.memory)])),
    tables: Object.fromEntries(tables.map((each) => [each.table, ofBytes(each.bytes, prices.disk)])),
  }
}

export function costText(report: CostReport, prices: Prices): string {
  const { from, to, measuredMinutes, cpuSeconds, models, views, online, tables, unused } = report
  const monthly = monthlyCosts(report, prices)
  const [cpuTitle, memoryTitle, diskTitle] = [prices.cpuHour, prices.memory, prices.disk].map((price) =>
    price === null ? [] : ['A MONTH'],
  )
  const shownTables = tables.slice(0, maxTables)
  return [
    measuredMinutes === 0
      ? `${moment(new Date(from))} to ${moment(new Date(to))} UTC: no server process was measured. Is LOCKSTEP_ROLLUPS off, or no server running?`
      : `${moment(new Date(from))} to ${moment(new Date(to))} UTC: in ${counted(measuredMinutes, 'measured minute')} the server processes used ${duration(cpuSeconds * 1000)} of processor time${monthly.servers === null ? '' : `, ${money(monthly.servers)} a month`}. What is not a model's is other work.`,
    section(
      ['MODEL', 'REQUESTS', 'ROWS', 'CACHED', 'CPU TIME', 'CPU FOR 1,000 ROWS', 'VERSIONS', 'FILES', ...(cpuTitle ?? [])],
      models.map(({ model, requests, rows, cacheHits, cpuSeconds: own, cpuMicrosPerRow, versions, fileBytes }) => [
        model,
        count(requests),
        count(rows),
        count(cacheHits),
        duration(own * 1000),
        cpuMicrosPerRow === null ? '' : duration(cpuMicrosPerRow),
        count(versions),
        bytes(fileBytes),
        ...priced(cpuTitle, monthly.models[model]),
      ]),
    ),
    section(
      ['VIEW', 'ENTITIES', 'ONLINE', 'ROWS READ', ...(memoryTitle ?? []), 'READ BY'],
      views.map(({ view, states, bytes: size, rows, models: readers, services }) => [
        view,
        states === null ? '' : count(states),
        size === null ? '' : bytes(size),
        count(rows),
        ...priced(memoryTitle, monthly.views[view]),
        readers.length > 0 ? readers.join(', ') : services.length > 0 ? `no model; ${services.join(', ')}` : 'nothing',
      ]),
    ),
    online.failure !== null
      ? `The sizes of the online store are unknown: ${online.failure}`
      : online.sampledKeys === null
        ? ''
        : `Entities and online sizes are estimated from ${counted(online.sampledKeys, 'random key')}.`,
    section(
      ['TABLE', 'SIZE', ...(diskTitle ?? [])],
      shownTables.map(({ table: name, bytes: size }) => [name, bytes(size), ...priced(diskTitle, monthly.tables[name])]),
    ),
    tables.length > shownTables.length
      ? `${counted(tables.length - shownTables.length, 'smaller table')}: ${bytes(tables.slice(maxTables).reduce((sum, each) => sum + each.bytes, 0))}`
      : '',
    unused.length === 0
      ? ''
      : [
          'Unused in this time:',
          ...unused.map(({ kind, name, why }) => `  ${kind} ${name}: ${why}`),
          'Reads of features are counted by a sample, so look again with a longer --since before you remove a view.',
        ].join('\n'),
  ]
    .filter((part) => part !== '')
    .join('\n\n')
}

function section(header: readonly string[], rows: readonly (readonly string[])[]): string {
  return rows.length === 0 ? '' : table(header, rows)
}

function priced(title: readonly string[] | undefined, cost: number | null | undefined): string[] {
  return (title ?? []).map(() => (cost === null || cost === undefined ? '' : money(cost)))
}

/** Without a currency: that of the prices. */
function money(amount: number): string {
  if (amount > 0 && amount < 0.01) return 'below 0.01'
  return amount.toLocaleString('en-US', { minimumFractionDigits: 2, maximumFractionDigits: 2 })
}
