import type { Kysely } from 'kysely'
import type { LockstepTables } from '../../migrations/schema.ts'
import type { Catalog } from '../catalog.ts'
import type { ExperimentRun } from './experiment.ts'
import { readExperimentRuns } from './experiment.ts'

/** An experiment that is declared, or that was, with its last run. */
export interface ListedExperiment {
  readonly name: string
  readonly description: string | null
  readonly state: 'planned' | ExperimentRun['state']
  readonly model: string
  readonly unit: string
  readonly layer: ExperimentRun['spec']['layer']
  readonly coverage: number
  readonly variants: readonly {
    readonly name: string
    readonly serves: string
    /** null: not started. */
    readonly version: number | null
    readonly weight: number
  }[]
  /** The name of the primary metric. */
  readonly primary: string
  readonly startedAt: Date | null
  readonly startedBy: string | null
  readonly stoppedAt: Date | null
  readonly stopReason: string | null
}

/** Running ones first, then by name. */
export async function listExperiments(handle: Kysely<LockstepTables>, catalog: Catalog): Promise<ListedExperiment[]> {
  const runs = new Map<string, ExperimentRun>()
  for (const run of await readExperimentRuns(handle)) if (!runs.has(run.name)) runs.set(run.name, run)
  const listed = [...new Set([...catalog.experiments.keys(), ...runs.keys()])].flatMap((name): ListedExperiment[] => {
    const [run, declared] = [runs.get(name) ?? null, catalog.experiments.get(name)]
    const spec = run?.spec ?? declared?.spec
    if (spec === undefined) return []
    const { model, unit, layer, variants, metrics } = spec
    return [
      {
        name,
        description: declared?.description ?? null,
        state: run?.state ?? 'planned',
        model,
        unit,
        layer,
        coverage: run?.coverage ?? declared?.coverage ?? 1,
        variants: variants.map((each) => ({
          name: each.name,
          serves: String(each.serves),
          version: run?.versions[each.name] ?? null,
          weight: each.weight,
        })),
        primary: metrics.find(({ role }) => role === 'primary')?.name ?? '',
        startedAt: run?.startedAt ?? null,
        startedBy: run?.startedBy ?? null,
        stoppedAt: run?.stoppedAt ?? null,
        stopReason: run?.stopReason ?? null,
      },
    ]
  })
  const order = ['running', 'planned', 'stopped', 'decided']
  return listed.sort((a, b) => order.indexOf(a.state) - order.indexOf(b.state) || (a.name < b.name ? -1 : 1))
}
