import type { Column, Value, ValueType } from '../../kernel/values/value-type.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { ExposedUnits } from './exposed-units.ts'
import type { UnitsPlan } from './plan-units.ts'
import type { ReadUnitsOptions } from './read-units.ts'
import { hasDenominator } from './plan-units.ts'
import { readUnits } from './read-units.ts'

/** The columns of an export: the unit itself, its features as of the exposure, and its figures. */
export function unitColumns({ service, features, metrics }: UnitsPlan): Column<ValueType>[] {
  const float: ValueType = { kind: 'float64' }
  return [
    { name: 'unit', type: { kind: 'string' } },
    { name: 'variant', type: { kind: 'string' } },
    { name: 'exposed_at', type: { kind: 'timestamp' } },
    { name: 'propensity', type: float },
    ...features.map((name) => ({ name: `feature__${name}`, type: service.features.find((each) => each.name === name)?.type ?? float })),
    ...metrics.flatMap((metric): Column<ValueType>[] => [
      { name: `${metric.spec.name}__value`, type: float },
      ...(hasDenominator(metric.spec) ? [{ name: `${metric.spec.name}__denominator`, type: float }] : []),
      { name: `${metric.spec.name}__mature`, type: { kind: 'bool' } },
    ]),
  ]
}

const rowsPerBatch = 2000

/** Hands over the units of an experiment in batches by column, as {@link unitColumns} lists them. */
export async function exportUnits(
  db: Database,
  plan: UnitsPlan,
  exposed: ExposedUnits,
  write: (batch: readonly (readonly (Value | null)[])[]) => Promise<void>,
  options: ReadUnitsOptions = {},
): Promise<void> {
  const width = unitColumns(plan).length
  let batch: (Value | null)[][] = []
  const flush = async (): Promise<void> => {
    const rows = batch
    batch = []
    if (rows.length > 0) await write(Array.from({ length: width }, (_, column) => rows.map((row) => row[column] ?? null)))
  }
  await readUnits(
    db,
    plan,
    exposed,
    async ({ unit, variant, exposedAt, propensity, features, figures, mature }) => {
      const metrics = plan.metrics.flatMap(({ spec }, i): (Value | null)[] => [
        figures[i]?.numerator ?? null,
        ...(hasDenominator(spec) ? [figures[i]?.denominator ?? null] : []),
        mature[i] === true,
      ])
      batch.push([unit, variant, exposedAt, propensity, ...features, ...metrics])
      if (batch.length >= rowsPerBatch) await flush()
    },
    options,
  )
  await flush()
}
