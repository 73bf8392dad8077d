import type { Value } from '../../kernel/values/value-type.ts'
import type { JoinOptions } from '../../offline/join.ts'
import { joinSpine } from '../../offline/join.ts'
import { openSpine } from '../../offline/spine/open-spine.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { ExposedUnits } from './exposed-units.ts'
import { none, unitsQuery } from './exposed-units.ts'
import type { UnitsPlan } from './plan-units.ts'
import type { ExposedUnit, OpenUnit } from './unit-figures.ts'
import { addRow, closeUnit, openUnit } from './unit-figures.ts'

export interface ReadUnitsOptions {
  readonly signal?: AbortSignal | undefined
  readonly onUnits?: ((done: number, total: number) => void) | undefined
}

/**
 * Reads the units of an experiment with their figures, in the order of their names. The point-in-time join computes
 * the figures, so late rows count as everywhere: a row is in a window if it happened and was known before the window's
 * end. What came of a prediction is asked at the end of the prediction's own time: asked at the end of the window, a
 * variant whose outcomes come sooner would have more of them. The figures of a unit whose window has passed never
 * change. Memory does not grow with the units.
 *
 * @throws LockstepError whatever `openSpine` and `joinSpine` throw
 */
export async function readUnits(
  db: Database,
  plan: UnitsPlan,
  exposed: ExposedUnits,
  onUnit: (unit: ExposedUnit) => Promise<void> | void,
  { signal, onUnits }: ReadUnitsOptions = {},
): Promise<void> {
  const sql = unitsQuery(exposed, plan.service.keys, plan.windows)
  const spine = await openSpine(db, plan.service, { sql }, { time: '_at', order: 'given', signal, largeJoin: true })
  try {
    const slot = (name: string): number => spine.columns.findIndex((column) => column.name === name)
    const [unitAt, variantAt, exposedAt, propensityAt] = ['_unit', '_variant', '_exposed_at', '_propensity'].map(slot)
    const [windowAt, timeAt] = ['_window', '_time'].map(slot)
    const featurePlaces = plan.features.map((name) => plan.service.features.findIndex((feature) => feature.name === name))
    let open: OpenUnit | null = null
    const options: JoinOptions = { ...(signal && { signal }), ...(onUnits && { onProgress: ({ done, total }) => onUnits(done, total) }) }
    await joinSpine(db, plan.service, spine, options, async ({ length, spine: columns, values }) => {
      const cell = (at: number | undefined, row: number): Value | null => columns[at as number]?.[row] ?? null
      for (let row = 0; row < length; row++) {
        const place = { window: Number(cell(windowAt, row)), time: Number(cell(timeAt, row)) }
        if (place.window === none) {
          if (open !== null) await onUnit(closeUnit(plan, open))
          open = openUnit(plan, {
            unit: cell(unitAt, row) as string,
            variant: cell(variantAt, row) as string,
            exposedAt: Number(cell(exposedAt, row)),
            propensity: Number(cell(propensityAt, row)),
            features: featurePlaces.map((at) => values[at]?.[row] ?? null),
          })
        } else if (open !== null) addRow(plan, open, place, (at) => values[at]?.[row] ?? null)
      }
    })
    if (open !== null) await onUnit(closeUnit(plan, open))
  } finally {
    // a table that cannot be dropped now is dropped by the next run
    await spine.drop().catch(() => undefined)
  }
}
