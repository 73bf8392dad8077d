import { durationText, parseDuration } from '../../kernel/values/duration.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { CheckSpec } from '../../registry/define/check-options.ts'
import { judgingOutcomes } from '../../registry/judging-outcomes.ts'
import type { ChannelSpec, MonitorSpec } from '../../registry/monitor-spec.ts'
import { checkOf } from '../../registry/define/check-options.ts'

/** A monitor that runs: a declared one, or one that is there by default. */
export interface ActiveMonitor extends MonitorSpec {
  readonly isDefault: boolean
  readonly description: string | null
  /** The name of a default monitor with the same checks over a shorter time. What it reports does not fire here too. */
  readonly yieldsTo?: string
}

export interface ActiveMonitors {
  readonly monitors: readonly ActiveMonitor[]
  readonly channels: ReadonlyMap<string, ChannelSpec>
}

/** All monitors of a registry, by name. @param defaults whether to include the default monitors */
export function activeMonitors(catalog: Catalog, defaults: boolean): ActiveMonitors {
  const channels = new Map([...catalog.channels].map(([name, { spec }]) => [name, spec]))
  const declared = [...catalog.monitors.values()].map(({ spec, description }) => ({ ...spec, description, isDefault: false }))
  const monitors = [...declared, ...(defaults ? defaultMonitors(catalog) : [])]
  return { monitors: monitors.toSorted((a, b) => (a.name < b.name ? -1 : 1)), channels }
}

/**
 * The monitors that every registry has. Their names have a colon, which those of declared ones cannot have. They notify
 * the channels that take alerts of default monitors.
 */
function defaultMonitors(catalog: Catalog): ActiveMonitor[] {
  const notify = [...catalog.channels.values()].flatMap(({ spec }) => (spec.defaults ? [spec.name] : []))
  const minute = parseDuration('1m')
  const common = {
    everyMicros: minute,
    windowMicros: parseDuration('1h'),
    clearAfter: 3,
    noDataMicros: null,
    notify,
    runbook: null,
    isDefault: true,
  }
  const views = [...catalog.watched].flatMap((id) => {
    const plan = catalog.views.get(id)
    if (plan === undefined) return []
    const { freshnessMicros } = plan.upkeep
    // without an objective nothing says when the view is late
    if (freshnessMicros === null && plan.spec.availability.kind !== 'schedule') return []
    const target = freshnessMicros === null ? 'its schedule' : `its freshness of ${durationText(freshnessMicros)}`
    return [
      {
        ...common,
        name: `view:${id}`,
        target: { kind: 'view', view: id } as const,
        forMicros: 2 * minute,
        severity: 'page' as const,
        checks: checksOf('freshness'),
        description: `Checks whether the view "${id}" keeps ${target}.`,
      },
    ]
  })
  const models = [...catalog.models.values()].flatMap(({ name, operational }) =>
    operational.monitors === 'none'
      ? []
      : [
          {
            ...common,
            name: `model:${name}`,
            target: { kind: 'model', model: name } as const,
            everyMicros: 5 * minute,
            forMicros: 0,
            severity: 'ticket' as const,
            checks: checksOf('parity', 'errors', 'latency', 'traffic', 'nulls', 'drift', 'predictions'),
            description: `Checks whether the model "${name}" answers as usual, and whether its features are like those that it was trained on.`,
          },
          {
            ...common,
            name: `daily:${name}`,
            yieldsTo: `model:${name}`,
            target: { kind: 'model', model: name } as const,
            everyMicros: 60 * minute,
            windowMicros: parseDuration('1d'),
            forMicros: 0,
            severity: 'ticket' as const,
            // slow changes, and quality, which reads the log
            checks: [
              ...checksOf('nulls', 'drift', 'predictions'),
              ...(judgingOutcomes(catalog, name).length > 0 ? checksOf('quality') : []),
            ],
            description: `Checks over a day whether the features and answers of the model "${name}" are like those of its training, and whether it is as good as before.`,
          },
        ],
  )
  const system = {
    ...common,
    name: 'system:jobs',
    target: { kind: 'system' } as const,
    forMicros: 2 * minute,
    severity: 'ticket' as const,
    checks: checksOf('jobs', 'clock'),
    description: 'Checks whether jobs make progress, schedules succeed, and clocks agree.',
  }
  const sources = {
    ...common,
    name: 'system:sources',
    target: { kind: 'system' } as const,
    everyMicros: 5 * minute,
    forMicros: 0,
    severity: 'ticket' as const,
    checks: checksOf('arrivals'),
    description: 'Checks whether the sources of online views get events as often as usual.',
  }
  const rollouts = {
    ...common,
    name: 'system:rollouts',
    target: { kind: 'system' } as const,
    windowMicros: parseDuration('1d'),
    forMicros: 0,
    // the check itself waits until a hold has ended
    clearAfter: 1,
    severity: 'ticket' as const,
    checks: checksOf('rollouts'),
    description: 'Checks whether gates roll back rollouts, or hold them until a person decides.',
  }
  return [...views, ...models, system, sources, rollouts]
}

function checksOf(...kinds: readonly CheckSpec['kind'][]): CheckSpec[] {
  return kinds.map((kind) => checkOf({ kind }, 'A default monitor'))
}
