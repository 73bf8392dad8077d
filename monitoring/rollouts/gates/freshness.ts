import { readViews } from '../../freshness/freshness-reader.ts'
import type { Gate } from './gate.ts'

interface FreshnessEvidence {
  /** Online views of the candidate. `shared`: the champion uses it as well. `late`: why it is, or null. */
  readonly views: readonly {
    readonly view: string
    readonly shared: boolean
    readonly lagSeconds: number | null
    readonly late: string | null
  }[]
  /** Why nothing is known; null: it is. */
  readonly reason: string | null
}

/**
 * Whether the views that the candidate is served from keep up with their sources. A late view that the champion uses as
 * well says nothing against the candidate: then the rollout waits.
 */
export const freshness: Gate<'freshness', FreshnessEvidence> = {
  kind: 'freshness',
  async gather({ db, store, catalog, model, rollout, champion, now }) {
    if (store === null) return { views: [], reason: 'The online store does not answer.' }
    const viewsOf = (version: number) => {
      const service = model.versions.find((each) => each.version === version)?.service
      const uses = (service === undefined ? undefined : catalog.services.get(service))?.uses ?? []
      return uses.map(({ plan }) => plan).filter(({ id }) => catalog.online.has(id))
    }
    const theirs = new Set(viewsOf(champion).map(({ id }) => id))
    const found = await readViews(db, store, viewsOf(rollout.version), now)
    const views = found.map(({ view, lag, late }) => ({
      view,
      shared: [...theirs].some((id) => id === view),
      lagSeconds: lag?.seconds ?? null,
      late,
    }))
    return { views, reason: null }
  },
  judge({ onBreach }, { views, reason }) {
    if (reason !== null) return { verdict: 'not enough evidence', text: reason }
    const late = views.filter((view) => view.late !== null)
    const [worst] = late.toSorted((a, b) => Number(a.shared) - Number(b.shared))
    if (worst === undefined) return { verdict: 'advance', text: freshText(views.length) }
    if (!worst.shared) return { verdict: onBreach, text: `The view "${worst.view}", which only the candidate uses, is late: ${worst.late}` }
    return { verdict: 'hold', text: `The view "${worst.view}", which the champion uses too, is late: ${worst.late}` }
  },
}

function freshText(views: number): string {
  if (views === 0) return 'The candidate uses no online view.'
  return views === 1 ? 'The online view of the candidate is fresh.' : `All ${views} online views of the candidate are fresh.`
}
