import { memoizeWeak } from '../../kernel/memoize-weak.ts'
import type { ServedEntity, ServicePlan } from '../../kernel/service-plan.ts'
import { exposureFields } from '../../kernel/specs/experiment-spec.ts'
import { valueToJson } from '../../kernel/values/value-json.ts'
import type { ExposureRecorder } from '../../monitoring/exposures/exposure-recorder.ts'
import { entitiesOf, keyValues } from '../../monitoring/prediction-log/encode-predictions.ts'
import { predictionIdPrefix } from '../../monitoring/prediction-log/prediction-id.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { ExperimentRun } from '../../registry/experiments/experiment.ts'
import type { PredictedGroup, PredictRequest } from './predict.ts'
import type { UnitReader } from '../rollouts/unit-reader.ts'
import { unitReader } from '../rollouts/unit-reader.ts'

/** Records the answered rows that got a variant of an experiment. */
export function noteExposures(
  recorder: Pick<ExposureRecorder, 'note'>,
  catalog: Catalog,
  request: PredictRequest,
  groups: readonly PredictedGroup[],
): void {
  for (const group of groups) {
    const { experiment, variant } = group
    if (experiment === null || variant === null) continue
    const run = catalog.models.get(request.model)?.experiments.find(({ name }) => name === experiment)
    if (run !== undefined) noteGroup(recorder, run, variant, request, group)
  }
}

function noteGroup(
  recorder: Pick<ExposureRecorder, 'note'>,
  run: ExperimentRun,
  variant: string,
  { entities, caller }: PredictRequest,
  { model: { service }, rows, read }: PredictedGroup,
): void {
  const { unitOf, entityJson } = readersOf(service, run)
  const propensity = run.slices.reduce((sum, slice) => sum + (slice.variant === variant ? slice.to - slice.from : 0), 0)
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i] as number
    const unit = unitOf?.(entities[row], row, caller.requestId) ?? null
    if (unit === null) continue
    recorder.note(run.id, variant, unit, () => {
      const entity = read.entities[i] as ServedEntity
      const predictionId = predictionIdPrefix(caller.predictionBase) + String(row)
      return { propensity, entity: entityJson(entity), entities: entitiesOf(service, entity), predictionId }
    })
  }
}

interface Readers {
  readonly unitOf: UnitReader | null
  /** JSON of the fields that the experiment asks by. */
  readonly entityJson: (entity: ServedEntity) => string
}

const known = memoizeWeak((_run: ExperimentRun) => new WeakMap<ServicePlan, Readers>())

function readersOf(service: ServicePlan, run: ExperimentRun): Readers {
  const byService = known(run)
  const found = byService.get(service)
  if (found !== undefined) return found
  const fields = exposureFields(run.spec)
  const keys = service.keys.flatMap(({ name, type }, i) => (fields.includes(name) ? [{ name, type, i }] : []))
  const request = service.request.flatMap(({ name, type }, i) =>
    fields.includes(name) && !keys.some((key) => key.name === name) ? [{ name, type, i }] : [],
  )
  const readers: Readers = {
    unitOf: unitReader(service, run.spec.unit),
    entityJson(entity) {
      const values = keyValues(service, entity)
      return JSON.stringify(
        Object.fromEntries([
          ...keys.map(({ name, type, i }) => [name, valueToJson(type, values[i] ?? null)]),
          ...request.map(({ name, type, i }) => [name, valueToJson(type, entity.request[i] ?? null)]),
        ]),
      )
    },
  }
  byService.set(service, readers)
  return readers
}
