import type { Kysely } from 'kysely'
import { didYouMean } from '../../kernel/did-you-mean.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { ModelSpec, ServiceSpec } from '../../kernel/specs/service-spec.ts'
import type { LockstepTables } from '../../migrations/schema.ts'
import type { Definition } from '../definition.ts'
import type { CheckSpec } from '../define/check-options.ts'
import type { MonitorSpec } from '../monitor-spec.ts'

/** Monitors whose checks name a column, or a training set as a baseline, that does not exist. */
export async function checkMonitors(handle: Kysely<LockstepTables>, definitions: readonly Definition[]): Promise<LockstepError[]> {
  const monitors = definitions.flatMap((each) => (each.kind === 'monitor' ? [each.spec] : []))
  const models = new Map(definitions.flatMap((each) => (each.kind === 'model' ? [[each.name, each.spec] as const] : [])))
  const services = new Map(
    definitions.flatMap((each) => (each.kind === 'service' ? [[`${each.name}@${each.version}`, each.spec] as const] : [])),
  )
  const outcomes = new Set(definitions.flatMap((each) => (each.kind === 'outcome' ? [`${each.spec.model} ${each.name}`] : [])))
  const problems: LockstepError[] = []
  for (const monitor of monitors) {
    const model = monitor.target.kind === 'model' ? models.get(monitor.target.model) : undefined
    const service = model === undefined ? undefined : services.get(model.service)
    for (const check of monitor.checks) {
      if (model !== undefined && service !== undefined) problems.push(...missingColumns(monitor, check, model, service))
      if (model !== undefined && check.kind === 'quality') problems.push(...missingOutcome(monitor, check.outcome, model, outcomes))
      const dataset = datasetOf(check)
      if (dataset !== null && !(await datasetExists(handle, dataset))) {
        const message = `The monitor "${monitor.name}" compares with the training set "${dataset}" in its check "${check.kind}", which does not exist; "lockstep dataset list" lists them.`
        problems.push(invalid(message, { monitor: monitor.name, dataset }))
      }
    }
  }
  return problems
}

function missingColumns(
  { name }: Pick<MonitorSpec, 'name'>,
  check: CheckSpec,
  model: ModelSpec,
  { members }: Pick<ServiceSpec, 'members'>,
): LockstepError[] {
  if (!('columns' in check) || check.columns === undefined) return []
  const features = members.flatMap((member) =>
    member.features.map((feature) => (member.kind === 'view' && member.use.alias !== null ? `${member.use.alias}__${feature}` : feature)),
  )
  const isOutput = check.kind === 'predictions'
  const known = isOutput ? model.output.map((output) => output.name) : features
  return check.columns
    .filter((column) => !known.includes(column))
    .map((column) => {
      const what = isOutput ? 'output' : 'feature'
      const message = `The monitor "${name}" watches the ${what} "${column}" in its check "${check.kind}", which the model "${model.name}" does not have.${didYouMean(column, known)} It has ${known.join(', ')}.`
      return invalid(message, { monitor: name, column })
    })
}

/** @param outcomes each as `model outcome` */
function missingOutcome(
  { name }: Pick<MonitorSpec, 'name'>,
  asked: string | undefined,
  model: Pick<ModelSpec, 'name'>,
  outcomes: ReadonlySet<string>,
): LockstepError[] {
  const own = [...outcomes].flatMap((each) => (each.startsWith(`${model.name} `) ? [each.slice(model.name.length + 1)] : []))
  if (asked === undefined ? own.length > 0 : own.includes(asked)) return []
  const what = asked === undefined ? 'an outcome' : `the outcome "${asked}"`
  const has = own.length === 0 ? 'has none; declare one' : `has ${own.join(', ')}`
  return [invalid(`The monitor "${name}" needs ${what} in its check "quality"; the model "${model.name}" ${has}.`, { monitor: name })]
}

function datasetOf(check: CheckSpec): string | null {
  return 'baseline' in check && typeof check.baseline === 'object' && 'dataset' in check.baseline ? check.baseline.dataset : null
}

async function datasetExists(handle: Kysely<LockstepTables>, id: string): Promise<boolean> {
  const found = await handle.selectFrom('lockstep.datasets').select('id').where('id', 'like', `${id}%`).limit(1).executeTakeFirst()
  return found !== undefined
}

function invalid(message: string, details: Readonly<Record<string, string>>): LockstepError {
  return new LockstepError('DEFINITIONS_INVALID', message, { details })
}
