import { Alert, Button, FileButton, Textarea } from '@mantine/core'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { type ReactElement, useMemo, useState } from 'react'
import type { ImpactData } from '../../serving/dashboard/contract/lineage.ts'
import { kindName } from '../api/use-index.ts'
import { useRead } from '../api/use-read.ts'
import { StateBadge, type Tone } from '../parts/state-badge.tsx'
import { ChooseDefinition } from '../parts/choose-definition.tsx'
import { Command } from '../parts/command.tsx'
import { DataTable } from '../parts/data-table.tsx'
import { Figures } from '../parts/facts.tsx'
import { formatNumber } from '../parts/format.ts'
import { Labelled } from '../parts/labelled.tsx'
import { Page } from '../parts/page.tsx'
import { Panel } from '../parts/panel.tsx'
import { Empty, Loaded } from '../parts/states.tsx'
import { ThingLink } from '../parts/thing-link.tsx'
import { waysOf } from '../parts/ways.ts'
import { Drawing } from './lineage-drawing.tsx'
import type { Effect, Plan, Refusal } from './plan-effects.ts'
import { effects, effectsOf, impactQuery, readPlan, reasonsOf, removalOf } from './plan-effects.ts'

const tones: Readonly<Record<Effect, Tone>> = {
  refused: 'bad',
  breaks: 'bad',
  removed: 'warn',
  recomputed: 'warn',
  affected: 'warn',
  'new version': 'good',
  changed: 'good',
  unchanged: 'plain',
}

/**
 * What a plan would do, or the removal of one definition, down to the models. A plan is pasted, and stays in the
 * browser but for the names in it.
 */
export default function PlanPage(): ReactElement {
  const [text, setText] = useState('')
  const { focus } = useSearch({ strict: false })
  const navigate = useNavigate()
  const { plan, problem } = useMemo(() => parsed(text), [text])
  const removal = useMemo(() => (focus === undefined ? null : removalOf(focus.replace('/', ' '))), [focus])
  const remove = (name: string): void => {
    setText('')
    void navigate({ to: '/plan', search: (before: object) => ({ ...before, focus: name }) as never })
  }
  return (
    <Page
      title="What would break"
      says="What the removal of a definition, or a plan, does to all that is made from it."
      ownMoment="A plan is compared with the registry of now."
    >
      <ChooseDefinition
        label="Remove"
        description="A definition, to see all that is made from it."
        value={plan === null ? focus : undefined}
        onChange={remove}
      />
      <div className="plan-ask">
        <Textarea
          label="Plan"
          description="Or paste all that lockstep plan --json prints, to see each of its changes."
          rows={3}
          autosize={false}
          value={text}
          error={problem}
          onChange={(event) => setText(event.currentTarget.value)}
        />
        <FileButton accept="application/json" onChange={(file) => void file?.text().then(setText)}>
          {(props) => (
            <Button variant="default" size="compact-sm" {...props}>
              Choose a file
            </Button>
          )}
        </FileButton>
      </div>
      {plan === null && removal !== null ? (
        <>
          <p className="dim">
            Prune retires a definition only if nothing else needs it: a pushed model version, for example, keeps its service and views.
          </p>
          <Impact plan={removal} isRemoval />
        </>
      ) : plan === null ? (
        <Empty title="Nothing is chosen yet" commands={['lockstep plan features.ts --json > plan.json', 'lockstep plan features.ts']}>
          A plan says what apply would do. Nothing is applied here.
        </Empty>
      ) : (
        <Impact plan={plan} />
      )}
    </Page>
  )
}

function parsed(text: string): { readonly plan: Plan | null; readonly problem: string | null } {
  if (text.trim() === '') return { plan: null, problem: null }
  try {
    return { plan: readPlan(text), problem: null }
  } catch (error) {
    return { plan: null, problem: error instanceof Error ? error.message : String(error) }
  }
}

interface ImpactProps {
  readonly plan: Plan
  /** Whether it is no pasted plan, but the removal of one definition. */
  readonly isRemoval?: boolean
}

function Impact({ plan, isRemoval = false }: ImpactProps): ReactElement {
  const { query, isCut } = useMemo(() => impactQuery(plan), [plan])
  const impact = useRead<ImpactData>(`impact?${query}`, { everyMs: false, asOf: false })
  return <Loaded of={impact}>{(data) => <ImpactParts plan={plan} isRemoval={isRemoval} data={isCut ? { ...data, isCut } : data} />}</Loaded>
}

interface Line {
  readonly key: string
  readonly kind: string
  readonly name: string
  readonly effect: Effect
  readonly says: string
  readonly requests: number | null
  readonly clients: readonly string[]
}

interface ImpactPartsProps extends Required<ImpactProps> {
  readonly data: ImpactData
}

function ImpactParts({ plan, data, isRemoval }: ImpactPartsProps): ReactElement {
  const { nodes, edges, requests, clients, isCut, revision } = data
  const found = useMemo(() => effectsOf(plan, data), [plan, data])
  const said = new Map(plan.changes.map(({ key, says }) => [key, says]))
  const reasons = reasonsOf(found, data)
  const line = (key: string, kind: string, name: string): Line => ({
    key,
    kind,
    name,
    effect: found.get(key) ?? 'unchanged',
    says: [said.get(key), reasons.get(key)].filter(Boolean).join(' '),
    requests: kind === 'model' ? (requests[name] ?? null) : null,
    clients: kind === 'model' ? (clients[name] ?? []) : [],
  })
  const known = new Set(nodes.map(({ key }) => key))
  const lines = [
    ...nodes.map(({ key, kind, name }) => line(key, kind, name)),
    ...plan.changes
      .filter(({ key, effect }) => effect !== 'unchanged' && !known.has(key))
      .map(({ key, kind, label }) => line(key, kind, label)),
  ].toSorted((a, b) => effects.indexOf(a.effect) - effects.indexOf(b.effect))
  const asked = lines.reduce((sum, each) => sum + (each.requests ?? 0), 0)
  const count = (...some: Effect[]): number => lines.filter(({ effect }) => some.includes(effect)).length
  const ways = waysOf.plan(nodes[0]?.key)
  const isOutdated = plan.revision !== null && plan.revision !== revision
  const outdated = isOutdated && (
    <Alert data-tone="warn" role="status">
      This plan was made at revision {plan.revision} of the registry, which is at revision {revision} now. Run lockstep plan again, so that
      it is compared with the present definitions.
    </Alert>
  )
  if (lines.length === 0)
    return (
      <>
        {outdated}
        <Empty title="The plan changes nothing" />
      </>
    )
  return (
    <>
      {outdated}
      <Figures
        of={
          isRemoval
            ? [
                { name: 'Made from it', value: count('affected') },
                { name: 'Requests to its models in the last day', value: formatNumber(asked, 'count') },
                {
                  name: 'Their clients',
                  value: new Set(lines.flatMap((each) => each.clients)).size,
                  note: 'by API key, as far as predictions are logged',
                },
              ]
            : [
                {
                  name: 'Refused or broken',
                  value: count('refused', 'breaks'),
                  ...(count('refused', 'breaks') > 0 ? { tone: 'bad' as const } : {}),
                },
                { name: 'Recomputed or removed', value: count('recomputed', 'removed') },
                { name: 'Made from these', value: count('affected') },
                { name: 'New versions and changes', value: count('new version', 'changed') },
              ]
        }
      />
      {plan.refusals.length > 0 && (
        <Panel title="Why apply refuses it" ways={ways}>
          <ol className="problems" aria-label="Refusals">
            {plan.refusals.map((refusal) => (
              <RefusalItem key={refusal.what} refusal={refusal} />
            ))}
          </ol>
          {plan.raise !== null && (
            <>
              <p className="dim space">This command raises the versions:</p>
              <Command text={plan.raise} />
            </>
          )}
        </Panel>
      )}
      {plan.breaks.length > 0 && (
        <Panel
          title="What it breaks"
          says={plan.refusals.length > 0 ? 'If it were applied. Nothing breaks while apply refuses it.' : 'As soon as it is applied.'}
          ways={ways}
        >
          <ul>
            {plan.breaks.map(({ broken, causes }) => (
              <li key={broken} className="break">
                {broken} <span className="dim">by {causes.join(', ')}</span>
              </li>
            ))}
          </ul>
        </Panel>
      )}
      <Panel title="What is made from it" says={isCut ? 'More is made from it than can be drawn.' : undefined} ways={ways}>
        <Drawing nodes={nodes} edges={edges} of="the plan" effects={found} />
      </Panel>
      <Panel title="The same as a table" flush ways={ways}>
        <DataTable
          label="What the plan does, the worst first"
          rows={lines}
          rowKey={({ key }) => key}
          columns={[
            {
              name: 'Effect',
              by: ({ effect }) => effects.indexOf(effect),
              cell: ({ effect }) => <StateBadge state={effect} tone={tones[effect]} />,
            },
            {
              name: 'Name',
              by: ({ name }) => name,
              cell: ({ key, kind, name }) => (
                <span className="break">{known.has(key) ? <ThingLink kind={kind} id={name} /> : <strong>{name}</strong>}</span>
              ),
            },
            { name: 'Kind', by: ({ kind }) => kind, cell: ({ kind }) => kindName(kind) },
            {
              name: 'Requests a day',
              numeric: true,
              by: (each) => each.requests,
              cell: (each) => (each.requests === null ? '–' : formatNumber(each.requests, 'count')),
            },
            {
              name: 'Clients',
              by: (each) => each.clients.length,
              cell: (each) => (each.clients.length === 0 ? '–' : <span className="break">{each.clients.join(', ')}</span>),
            },
            { name: 'What', wide: true, cell: ({ says }) => says },
          ]}
        />
      </Panel>
    </>
  )
}

function RefusalItem({ refusal: { what, details, todo } }: { readonly refusal: Refusal }): ReactElement {
  return (
    <li className="problem break" data-tone="bad">
      <p className="problem-what">{what}</p>
      {details.length > 0 && (
        <ul>
          {details.map((line) => (
            <li key={line}>{line}</li>
          ))}
        </ul>
      )}
      <Labelled label="What to do">{todo}</Labelled>
    </li>
  )
}
