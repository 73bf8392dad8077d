import { LockstepError } from '../kernel/errors.ts'
import type { ServicePlan } from '../kernel/service-plan.ts'
import type { TimeRule } from '../kernel/view-plan.ts'
import type { Queryable } from '../runtime/relation.ts'
import { trimQuery } from '../runtime/relation.ts'
import { explain } from './explain.ts'
import { readSourceTable } from './source-table.ts'

/**
 * Refuses a spine that a query draws from the very table that a view counts, where nothing says when its rows became known: each row of the spine would
 * then see itself, its label included.
 *
 * @throws LockstepError `LABEL_LEAK` naming the view, its source and the table; `SOURCE_MISSING` where a source is not there
 */
export async function refuseLabelLeak(db: Queryable, service: ServicePlan, query: string, rule: TimeRule): Promise<void> {
  const exposed = service.uses.filter(({ plan }) => plan.spec.source.known === null || rule.knowledge === 'latest')
  if (exposed.length === 0) return
  let spine: ReadonlySet<string>
  try {
    spine = (await explain(db, trimQuery(query))).relations
  } catch {
    return // a query that cannot be planned cannot be run either, and running it says why
  }
  const checked = new Set<string>()
  for (const { plan } of exposed) {
    const { source } = plan.spec
    if (checked.has(source.name)) continue
    checked.add(source.name)
    const { relation } = await readSourceTable(db, source)
    const { relations } = await explain(db, `SELECT FROM ${relation} s`)
    const shared = [...relations].find((name) => spine.has(name))
    if (shared === undefined) continue
    throw new LockstepError(
      'LABEL_LEAK',
      `The spine is drawn from the table "${shared}", which "${plan.id}" reads as its source "${source.name}"${source.known === null ? ', and nothing says when its rows became known' : ', with what was known set aside'}: ` +
        'a row would see itself, and so its own label. Name the source\'s "known" column, or count only what was there before each moment (as of "before").',
      { details: { table: shared, view: plan.id, source: source.name } },
    )
  }
}
