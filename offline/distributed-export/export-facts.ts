import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { JoinSummary } from '../join.ts'
import { sumLeftOut } from '../join.ts'
import { countLeftOut, dropColumns } from '../rows/source-stream.ts'
import type { SpineDigest } from '../spine/spine-hash.ts'
import { createSpineHash } from '../spine/spine-hash.ts'
import { spineRows } from '../spine/spine-rows.ts'
import type { Spine } from '../spine/spine.ts'
import { planPasses } from '../rows/stream-groups.ts'

/** The hashes of the rows of a complete spine. */
export async function hashSpine(db: Database, spine: Spine, signal: AbortSignal): Promise<SpineDigest> {
  const hash = createSpineHash(spine)
  await db.snapshot(async (snapshot) => {
    for await (const batch of spineRows(snapshot, spine)) {
      signal.throwIfAborted()
      hash.update(batch.length, batch.columns)
    }
  })
  return hash.digest()
}

/** The rows of the sources that no part reads. */
export async function leftOutRows(
  db: Database,
  service: ServicePlan,
  arrivedBefore: number,
): Promise<Pick<JoinSummary, 'droppedRows' | 'heldBackRows'>> {
  const counts = await db.snapshot(async (snapshot) => {
    const found = []
    const dropped = dropColumns(service.uses.map(({ plan }) => plan))
    for (const { plans } of planPasses(service.uses).flatMap((pass) => pass.streams)) {
      const [plan] = plans
      if (plan === undefined) continue
      found.push({ source: plan.spec.source.name, ...(await countLeftOut(snapshot, plan, arrivedBefore, {}, dropped(plan))) })
    }
    return found
  })
  return sumLeftOut(counts)
}
