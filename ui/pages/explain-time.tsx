import { Anchor, Button, Chip, Group, Slider } from '@mantine/core'
import { useElementSize } from '@mantine/hooks'
import { useNavigate } from '@tanstack/react-router'
import { type ReactElement, useMemo, useState } from 'react'
import type { ExplainData } from '../../serving/dashboard/contract/explain.ts'
import { StateBadge } from '../parts/state-badge.tsx'
import { CsvButton } from '../parts/csv.tsx'
import { DataTable } from '../parts/data-table.tsx'
import { formatDuration, formatMoment, shortFloat } from '../parts/format.ts'
import { Panel } from '../parts/panel.tsx'
import { FeatureLink, ThingLink } from '../parts/thing-link.tsx'
import { waysOf } from '../parts/ways.ts'
import { announce } from '../shell/announcer.tsx'
import { Lanes, StepLine } from './explain-lanes.tsx'
import { type View, rowStates, rowsInValue, stepAt } from './explain-steps.ts'

/**
 * The moment, the values at it, and the rows behind them. All of the window is here, so moving asks the server nothing.
 */
export function ExplainTime({ data, onKeep }: { readonly data: ExplainData; readonly onKeep: (moment: string) => void }): ReactElement {
  const { from, to, name, entity, views, served, differences } = data
  const [t, setTime] = useState(Math.max(from, Math.min(to, data.at)))
  // a service may read one view under several aliases
  const [viewIndex, setView] = useState(0)
  const view = views[viewIndex] ?? views[0]
  const [feature, setFeature] = useState<string | null>(null)
  const navigate = useNavigate()
  const changes = useMemo(
    () =>
      [...new Set(views.flatMap(({ features }) => features.flatMap(({ steps }) => steps.map((step) => step.t))))].toSorted((a, b) => a - b),
    [views],
  )
  const answered = served.find((each) => each.t <= t)
  const go = (next: number | undefined): void => {
    if (next === undefined) return
    setTime(next)
    announce(formatMoment(next))
  }
  const keep = (next: number): void => {
    const at = new Date(next).toISOString()
    onKeep(at)
    void navigate({ to: '.', search: (before: object) => ({ ...before, at }) as never, replace: true, resetScroll: false })
  }
  const iso = new Date(t).toISOString()
  if (view === undefined) return <p className="dim">The entity has no view here.</p>
  const ways = waysOf.explain(view.view === name ? 'view' : 'service', name, entity, iso, view.sql)
  const chosen = view.features.find((each) => each.feature === feature) ?? view.features[0]
  return (
    <>
      <div className="time-bar">
        <div className="time-now">
          <span className="dim">As of</span> <strong>{formatMoment(t)}</strong> <span className="dim">UTC</span>
        </div>
        <Slider
          min={from}
          max={to}
          step={Math.max(1, Math.round((to - from) / 600))}
          value={t}
          onChange={setTime}
          onChangeEnd={keep}
          label={null}
          thumbLabel="The moment"
          thumbProps={{ 'aria-valuetext': `${formatMoment(t)} UTC` }}
        />
        <div className="row">
          <Button variant="default" size="compact-sm" onClick={() => go(changes.findLast((each) => each < t))}>
            Earlier change
          </Button>
          <Button variant="default" size="compact-sm" onClick={() => go(changes.find((each) => each > t))}>
            Later change
          </Button>
          {answered !== undefined && (
            <Button variant="default" size="compact-sm" onClick={() => go(answered.t)}>
              When it was served
            </Button>
          )}
          <span className="dim small time-ends">
            {formatMoment(from)} to {formatMoment(to)} UTC
          </span>
        </div>
      </div>
      {views.length > 1 && (
        <Chip.Group value={String(views.indexOf(view))} onChange={(index) => setView(Number(index))}>
          <Group gap={6} role="radiogroup" aria-label="View">
            {views.map((each, index) => (
              <Chip key={index} name="view" value={String(index)}>
                {aliasOf(each) === undefined ? each.view : `${each.view} as ${aliasOf(each)}`}
              </Chip>
            ))}
          </Group>
        </Chip.Group>
      )}
      <Panel title={`When rows of ${view.source} count`} says={sayRows(view, t)} ways={ways}>
        <Lanes view={view} feature={chosen} t={t} from={from} to={to} onTime={setTime} />
      </Panel>
      <Panel
        title="Values"
        flush
        says={
          answered === undefined ? (
            'No prediction of this entity is logged up to this moment.'
          ) : (
            <>
              Last served at {formatMoment(answered.t)} UTC to model {answered.model}:{' '}
              <ThingLink kind="receipt" id={answered.predictionId}>
                receipt
              </ThingLink>
            </>
          )
        }
        ways={ways}
      >
        <Values view={view} t={t} from={from} to={to} answered={answered} chosen={chosen?.feature ?? null} onChoose={setFeature} />
      </Panel>
      <Panel
        title={`Rows of ${view.source}`}
        flush
        actions={<CsvButton name={`Rows of ${view.source}`} rows={() => csvOf(view)} />}
        ways={ways}
      >
        <RowTable view={view} feature={chosen} t={t} />
      </Panel>
      {differences.length > 0 && (
        <Panel title="Where serving and training differ" flush ways={waysOf.parity()}>
          <DataTable
            label="Differences of served values from those of training"
            rows={differences}
            rowKey={(difference) => `${difference.t} ${difference.feature}`}
            columns={[
              {
                name: 'Served (UTC)',
                cell: (difference) => (
                  <Anchor component="button" type="button" onClick={() => go(difference.t)}>
                    {formatMoment(difference.t)}
                  </Anchor>
                ),
              },
              { name: 'Feature', cell: (difference) => difference.feature },
              { name: 'As trained', numeric: true, cell: ({ trained }) => trained ?? 'null' },
              { name: 'As served', numeric: true, cell: (difference) => difference.served ?? 'null' },
              { name: 'Why', wide: true, cell: ({ why }) => why },
            ]}
          />
        </Panel>
      )}
    </>
  )
}

function sayRows(view: View, t: number): string {
  const known = view.rows.filter(({ visible }) => visible <= t).length
  const waiting = view.rows.length - known
  const cut = view.cut > 0 ? ` ${view.cut} more rows of this time are left out.` : ''
  return `${known === 1 ? '1 row is' : `${known} rows are`} visible at this moment, ${waiting === 1 ? '1 is' : `${waiting} are`} not known yet.${cut}`
}

interface ValuesProps {
  readonly view: View
  readonly t: number
  readonly from: number
  readonly to: number
  readonly answered: ExplainData['served'][number] | undefined
  readonly chosen: string | null
  readonly onChoose: (feature: string) => void
}

function Values({ view, t, from, to, answered, chosen, onChoose }: ValuesProps): ReactElement {
  const { ref, width } = useElementSize()
  return (
    <div ref={ref}>
      <DataTable
        label={`Values of ${view.view}`}
        rows={view.features}
        rowKey={({ feature }) => feature}
        columns={[
          {
            name: 'Feature',
            cell: ({ feature }) => (
              <Anchor component="button" type="button" aria-pressed={feature === chosen} onClick={() => onChoose(feature)}>
                {feature}
              </Anchor>
            ),
          },
          {
            name: 'As trained',
            numeric: true,
            cell: ({ steps, type }) => {
              const step = stepAt(steps, t)
              return (
                <>
                  <strong>
                    <Short text={step?.value ?? 'null'} type={type} />
                  </strong>
                  {step !== undefined && step.status !== 'PRESENT' && (
                    <div className="dim small">{step.status.toLowerCase().replaceAll('_', ' ')}</div>
                  )}
                </>
              )
            },
          },
          {
            name: 'As served',
            numeric: true,
            cell: ({ feature, type }) => {
              const value = answered?.features[feature]
              return value === undefined ? <span className="dim">–</span> : <Short text={value.value ?? 'null'} type={type} />
            },
          },
          { name: 'Rows in it', numeric: true, cell: (each) => rowsInValue(view, each, t) },
          {
            name: 'Over time',
            wide: true,
            cell: ({ steps, feature }) => (
              <StepLine steps={steps} name={feature} t={t} from={from} to={to} width={Math.max(140, Math.min(380, width - 680))} />
            ),
          },
          {
            name: 'Page',
            cell: ({ feature }) => (
              <FeatureLink view={view.view} feature={feature}>
                Feature
              </FeatureLink>
            ),
          },
        ]}
      />
    </div>
  )
}

/** The alias under which the service reads the view; its features have it in their names. */
function aliasOf({ features }: View): string | undefined {
  const [alias, feature] = features[0]?.feature.split('__') ?? []
  return feature === undefined ? undefined : alias
}

function csvOf({ rows }: View): (string | null)[][] {
  const columns = columnsOf(rows)
  const time = (ms: number): string => new Date(ms).toISOString()
  return [
    ['event', 'known', 'counts from', ...columns],
    ...rows.map(({ event, known, visible, values }) => [
      ...[event, known, visible].map(time),
      ...columns.map((name) => values[name] ?? null),
    ]),
  ]
}

function columnsOf(rows: View['rows']): string[] {
  return [...new Set(rows.flatMap(({ values }) => Object.keys(values)))]
}

const stateWords = { counted: 'counts', waiting: 'not known yet', out: 'does not count' } as const
const stateTones = { counted: 'good', waiting: 'warn', out: 'plain' } as const

function RowTable({
  view,
  feature,
  t,
}: {
  readonly view: View
  readonly feature: View['features'][number] | undefined
  readonly t: number
}): ReactElement {
  const states = rowStates(view, feature, t)
  const columns = columnsOf(view.rows)
  const rows = view.rows.map((row, index) => ({ ...row, index, state: states[index] ?? 'out' })).toReversed()
  return (
    <DataTable
      label={`Rows of ${view.source}, newest first`}
      rows={rows}
      rowKey={({ index }) => String(index)}
      pageSize={12}
      columns={[
        {
          name: feature === undefined ? 'State' : `In ${feature.feature}`,
          by: ({ state }) => state,
          cell: ({ state }) => (
            <StateBadge state={state} tone={stateTones[state]}>
              {stateWords[state]}
            </StateBadge>
          ),
        },
        { name: 'Event (UTC)', by: ({ event }) => event, cell: ({ event }) => formatMoment(event) },
        {
          name: 'Known',
          by: ({ known }) => known,
          cell: ({ known, event }) => (known === event ? 'at once' : `${formatDuration((known - event) / 1000)} later`),
        },
        { name: 'Counts from (UTC)', by: ({ visible }) => visible, cell: ({ visible }) => formatMoment(visible) },
        ...columns.map((name) => ({
          name,
          numeric: true,
          cell: ({ values }: { values: Readonly<Record<string, string | null>> }) => values[name] ?? 'null',
        })),
      ]}
    />
  )
}

/** A float, cut to six digits; all of them on hover. Integers and texts are exact: they may be keys. */
function Short({ text, type }: { readonly text: string; readonly type: string }): ReactElement {
  const short = shortFloat(text, type)
  if (short !== text) return <span title={text}>{short}</span>
  return type === 'string' ? <span className="break">{text}</span> : <>{text}</>
}
