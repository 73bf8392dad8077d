import type { SliceSpec } from '../../kernel/specs/slice-spec.ts'
import { formatShare } from '../../kernel/values/format-number.ts'
import type { NamedType } from '../../registry/find/definition-details.ts'
import { deployText, requirementText, rowsText } from '../../registry/trainings/training-text.ts'
import type { DefinitionPage, OnlineState } from '../../serving/find/definition-page.ts'
import { ago, count, counted, duration } from '../text/human.ts'

export type Field = readonly [name: string, value: string]

/** The fields that only definitions of the page's kind have. An empty value is not shown. */
export function kindFields(page: DefinitionPage): readonly Field[] {
  const { name, source, view, onDemand, model, outcome, monitor, channel, experiment, batch, pipeline, training } = page
  if (source !== undefined) return sourceFields(source, page.rows)
  if (view !== undefined) return viewFields(view, page.online)
  if (onDemand !== undefined) return onDemandFields(onDemand)
  if (model !== undefined) return modelFields(model)
  if (outcome !== undefined) return outcomeFields(outcome)
  if (monitor !== undefined) return monitorFields(name, monitor)
  if (channel !== undefined) return channelFields(channel)
  if (experiment !== undefined) return experimentFields(name, experiment)
  if (batch !== undefined) return batchFields(batch)
  if (training !== undefined) return trainingFields(name, training)
  return pipeline === undefined ? [] : pipelineFields(name, pipeline)
}

function sourceFields(source: NonNullable<DefinitionPage['source']>, rows: DefinitionPage['rows']): Field[] {
  return [
    ['reads', source.table ?? source.sql ?? 'its own table'],
    ['stream', source.stream ?? ''],
    ['files', source.files.join(', ')],
    [
      'key',
      Object.entries(source.key)
        .map(([part, column]) => (part === column ? part : `${part} in column ${column}`))
        .join(', '),
    ],
    ['event time', `column ${source.eventTime}`],
    ['known time', source.known === null ? '' : `column ${source.known}`],
    ['rows', rows === undefined || rows === null ? 'unknown' : `${rows.exact ? '' : 'about '}${count(rows.rows)}`],
  ]
}

function viewFields(view: NonNullable<DefinitionPage['view']>, online: OnlineState | undefined): Field[] {
  return [
    ['entity', `${view.entity}${view.key.length === 0 ? '' : `, key ${typedText(view.key)}`}`],
    ['source', view.source],
    ['available', `${view.availability}${view.maxLag === null ? '' : `, at most ${view.maxLag} behind its source`}`],
    ['online', online === undefined ? (view.online ? 'yes' : 'no: answered from the offline history') : onlineText(online)],
    ['derives', typedText(view.derived)],
  ]
}

function onDemandFields({ request, inputs }: NonNullable<DefinitionPage['onDemand']>): Field[] {
  return [
    ['request', typedText(request)],
    ['inputs', inputs.map((input) => `${input.name}: ${input.view}`).join(', ')],
  ]
}

function modelFields({ service, outputs, aliases, slices }: NonNullable<DefinitionPage['model']>): Field[] {
  return [
    ['service', service],
    ['outputs', typedText(outputs)],
    [
      'aliases',
      Object.entries(aliases)
        .map(([alias, at]) => `${alias} ${at}`)
        .join(', '),
    ],
    ['slices', Object.entries(slices).map(sliceText).join('; ')],
  ]
}

function outcomeFields(outcome: NonNullable<DefinitionPage['outcome']>): Field[] {
  return [
    ['model', `${outcome.model}, ${outcome.output === null ? 'judges no output' : `output ${outcome.output}`}`],
    ['source', outcome.source],
    ['match', outcome.match],
    ['value', `${outcome.type}, ${outcome.column === null ? 'computed' : `column ${outcome.column}`}`],
    ['within', outcome.within],
    ['missing', outcome.missing === 'exclude' ? 'left out of figures' : JSON.stringify(outcome.missing)],
    [
      'figures',
      Object.entries(outcome.figures)
        .map(([name, column]) => `${name}: ${column}`)
        .join(', '),
    ],
  ]
}

function monitorFields(name: string, monitor: NonNullable<DefinitionPage['monitor']>): Field[] {
  return [
    ['watches', monitor.watches],
    ['checks', monitor.checks.map(({ kind }) => kind).join(', ')],
    ['runs', `every ${monitor.every}, over ${monitor.window}`],
    ['severity', monitor.severity],
    ['notifies', monitor.notify.join(', ') || 'no channel'],
    ['runbook', monitor.runbook ?? ''],
    ['results', `lockstep monitor show ${name}`],
  ]
}

function channelFields({ kind, severities, defaults, variables }: NonNullable<DefinitionPage['channel']>): Field[] {
  return [
    ['kind', kind],
    ['severities', severities.join(', ')],
    ['notified by', `monitors that name it${defaults ? ', and default monitors' : ''}`],
    ['variables', variables.join(', ')],
  ]
}

function experimentFields(name: string, details: NonNullable<DefinitionPage['experiment']>): Field[] {
  const { model, unit, variants, coverage, layer, metrics, covariates, slices, analysis } = details
  return [
    ['model', model],
    ['unit', unit],
    ['variants', variants.map((each) => `${each.name} ${each.serves} (${formatShare(each.weight, 4)})`).join(', ')],
    ['coverage', formatShare(coverage, 4)],
    ['layer', layer === null ? '' : `${layer.name}, from ${layer.from} to ${layer.to}`],
    ...metrics.map((metric) => [metric.role, `${metric.name}: ${metric.computed}`] as const),
    ['covariates', covariates.join(', ')],
    ['slices', slices.join(', ')],
    ['analysis', `${analysis.method}, alpha ${analysis.alpha}, ${analysis.correction}`],
    ['results', `lockstep experiment show ${name}`],
  ]
}

function batchFields({
  model,
  version,
  schedule,
  spine,
  out,
  id,
  format,
  mode,
  maxRefused,
  minRows,
}: NonNullable<DefinitionPage['batch']>): Field[] {
  const limit = maxRefused === null ? '' : 'rows' in maxRefused ? String(maxRefused.rows) : formatShare(maxRefused.share, 4)
  return [
    ['model', version === null ? model : `${model}@${version}`],
    ['schedule', `${schedule} (UTC)`],
    ['spine', 'sql' in spine ? spine.sql : spine.file],
    ['output', `${out} (${format === 'table' ? mode : format})`],
    ['id', id],
    ['max refused', limit],
    ['min rows', String(minRows ?? '')],
    ['results', `lockstep batch list --model ${model}`],
  ]
}

function pipelineFields(
  name: string,
  { source, model, version, sink, entities, key, ledger }: NonNullable<DefinitionPage['pipeline']>,
): Field[] {
  return [
    ['reads', source],
    ['model', version === null ? model : `${model}@${version}`],
    ['writes to', sink],
    ['entities', entities.map(({ field, column }) => (field === column ? field : `${field} from ${column}`)).join(', ')],
    ['key', key.join(', ')],
    ['ledger', ledger ? 'yes' : ''],
    ['now', `lockstep pipeline show ${name}`],
  ]
}

function trainingFields(name: string, training: NonNullable<DefinitionPage['training']>): Field[] {
  const { model, trainer, spine, label, schedule, deploy } = training
  return [
    ['model', model],
    ['trainer', trainer],
    ['schedule', schedule === null ? 'none: it runs by "lockstep training run"' : `${schedule} (UTC)`],
    ['spine', spine.sql],
    ['label', label],
    ['rows', rowsText(training)],
    ['parameters', Object.keys(training.parameters).length === 0 ? '' : JSON.stringify(training.parameters)],
    ['requires', training.require.map(requirementText).join(', ')],
    ['deploys', deployText(deploy)],
    ['runs', `lockstep training show ${name}`],
  ]
}

export function typedText(columns: readonly NamedType[]): string {
  return columns.map(({ name, type }) => `${name} ${type}`).join(', ')
}

/** `size: amount at 10, 100`. */
function sliceText([name, { column, at, values }]: readonly [string, SliceSpec]): string {
  if (at !== undefined) return `${name}: ${column} at ${at.join(', ')}`
  if (values !== undefined) return `${name}: ${column} in ${Object.keys(values).join(', ')}`
  return name === column ? name : `${name}: ${column}`
}

function onlineText({ ready, problem, freshness }: OnlineState): string {
  if (!ready) return `not ready: ${problem ?? ''}`
  if (freshness === null) return 'ready'
  const { newestRowSeconds, lag, late } = freshness
  const newest = newestRowSeconds === null ? '' : `, newest row ${ago(newestRowSeconds * 1000)}`
  const behind =
    lag === null || lag.rows === 0 ? '' : `, lacks ${counted(lag.rows, 'row')} for up to ${duration(Math.max(1, lag.seconds * 1000))}`
  return `ready${newest}${behind}${late === null ? '' : `. ${late}`}`
}
