import { openSpine } from '../../../offline/spine/open-spine.ts'
import { ordinalColumn } from '../../../offline/spine/spine.ts'
import type { SpineInput } from '../../../offline/spine/spine.ts'
import { readSourceTable } from '../../../offline/rows/source-table.ts'
import { loadCatalog } from '../../../registry/catalog.ts'
import type { Database } from '../../../runtime/postgres/database.ts'
import { sqlIdentifier } from '../../../runtime/postgres/sql.ts'
import { parquetOfQuery } from './parquet-of-query.ts'

export interface InParquet {
  readonly spine: string
  readonly sources: readonly { readonly source: string; readonly path: string }[]
}

/** Writes the sources of a service, and a spine for it, to Parquet files. */
export async function inParquet(
  db: Database,
  named: string,
  input: SpineInput,
  time: string,
  pathOf: (file: string) => string,
): Promise<InParquet> {
  const service = (await loadCatalog(db)).service(named)
  const spine = await openSpine(db, service, input, { time })
  const columns = spine.columns.map(({ name, sql }) => `${sql} as ${sqlIdentifier(name)}`)
  await parquetOfQuery(db, `select ${columns.join(', ')} from ${spine.table} s order by s.${sqlIdentifier(ordinalColumn)}`, pathOf('spine'))
  await spine.drop()
  const written: { readonly source: string; readonly path: string }[] = []
  const plans = service.uses.map(({ plan }) => plan)
  for (const [source, spec] of new Map(plans.map(({ spec: { source: each } }) => [each.name, each]))) {
    const { relation, hasRow, hasOnlineOnly } = await readSourceTable(db, spec)
    // views of one source may have other keys
    const keys = plans.flatMap((plan) => (plan.spec.source.name === source ? plan.spec.source.key : []))
    const names = [spec.eventTime, spec.known, ...keys.map(({ column }) => column), ...spec.columns.map(({ name }) => name)]
    const own = [...(hasRow ? ['_row'] : []), ...(hasOnlineOnly ? ['_online_only'] : [])]
    const all = [...new Set([...names.flatMap((name) => name ?? []), ...own])].map((name) => `s.${sqlIdentifier(name)}`)
    const path = pathOf(source)
    await parquetOfQuery(db, `select ${all.join(', ')} from ${relation} s`, path)
    written.push({ source, path })
  }
  return { spine: pathOf('spine'), sources: written }
}
