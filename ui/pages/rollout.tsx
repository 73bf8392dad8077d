import { Anchor, EmptyState, UnstyledButton } from '@mantine/core'
import { Link, useParams, useSearch } from '@tanstack/react-router'
import { type ReactElement, useState } from 'react'
import type { RolloutData } from '../../serving/dashboard/contract/rollout.ts'
import { readEveryMs } from '../api/read-every.ts'
import { useRead } from '../api/use-read.ts'
import { Act } from '../parts/act.tsx'
import { StateBadge } from '../parts/state-badge.tsx'
import { Chart } from '../parts/chart.tsx'
import { DataTable } from '../parts/data-table.tsx'
import { Facts } from '../parts/facts.tsx'
import { formatMoment, formatNumber, keepUnits, pinText } from '../parts/format.ts'
import { Moment, usePastMoment } from '../parts/moment.tsx'
import { Page } from '../parts/page.tsx'
import { Panel } from '../parts/panel.tsx'
import { Empty, Loaded } from '../parts/states.tsx'
import { ThingLink } from '../parts/thing-link.tsx'
import { waysOf } from '../parts/ways.ts'
import { keepMoment } from '../shell/navigation.tsx'
import { EvidenceDialog } from './decision-evidence.tsx'
import { GateBar, GateCard } from './gate-card.tsx'

type Rollout = NonNullable<RolloutData['rollout']>
type Gate = RolloutData['gates'][number]

/** A candidate on its way to all requests: its share, its gates, and each decision. */
export default function RolloutPage(): ReactElement {
  const { id = '' } = useParams({ strict: false })
  const { rollout: asked } = useSearch({ strict: false })
  const query = asked === undefined ? '' : `?rollout=${encodeURIComponent(asked)}`
  const rollout = useRead<RolloutData>(`rollouts/${encodeURIComponent(id)}${query}`, { everyMs: readEveryMs.now })
  const data = rollout.data?.data
  const current = data?.rollout ?? null
  return (
    <Page
      title={data?.model ?? id}
      kind="Rollout"
      state={current === null ? undefined : <StateBadge state={current.paused && current.state === 'running' ? 'paused' : current.state} />}
      says={data?.headline}
      actions={data !== undefined && current?.state === 'running' ? <Acts data={data} rollout={current} /> : undefined}
    >
      <Loaded of={rollout}>{(loaded) => <RolloutParts data={loaded} id={id} />}</Loaded>
    </Page>
  )
}

function Acts({
  data: { model, champion, pinned, headline, evidence },
  rollout,
}: {
  readonly data: RolloutData
  readonly rollout: Rollout
}): ReactElement {
  const { version, share, revision, paused, steps } = rollout
  const path = `rollouts/${encodeURIComponent(model)}`
  const name = `version ${version} of ${model}`
  return (
    <>
      {steps.length === 0 ? null : paused ? (
        <Act name="Resume" title={`Resume the rollout of ${name}`} path={`${path}/resume`} ifMatch={revision} done="The rollout goes on.">
          <p>The plan goes on from {formatNumber(share, 'share')}. The step begins again, with new evidence.</p>
          <p>{headline}</p>
        </Act>
      ) : (
        <Act name="Pause" title={`Pause the rollout of ${name}`} path={`${path}/pause`} ifMatch={revision} done="The rollout is paused.">
          <p>The share of the candidate stays at {formatNumber(share, 'share')}. No gate acts until you resume.</p>
          <p>{headline}</p>
        </Act>
      )}
      <Act
        name="Promote"
        title={`Promote ${name}`}
        path={`${path}/promote`}
        ifMatch={revision}
        done={`Version ${version} is the champion.`}
      >
        <p>
          Version {version} {pinned === null ? 'answers all requests' : 'becomes the champion'}, in place of version {champion ?? 'none'}.
        </p>
        <p>{headline}</p>
        {evidence.map((says, index) => (
          <p key={index}>{says}</p>
        ))}
      </Act>
      <Act
        name="Abort"
        title={`Abort the rollout of ${name}`}
        path={`${path}/abort`}
        ifMatch={revision}
        danger
        done={pinned === null ? 'The champion answers all requests.' : 'The rollout has ended.'}
      >
        <p>{pinned === null ? `Version ${champion ?? 'none'} answers all requests from the next one on.` : 'The rollout ends.'}</p>
        <p>{headline}</p>
      </Act>
    </>
  )
}

function RolloutParts({ data, id }: { readonly data: RolloutData; readonly id: string }): ReactElement {
  const { model, champion, pinned, rollout, traffic, gates, decisions, others } = data
  const ways = waysOf.rollout(model)
  const isPast = usePastMoment() !== undefined
  if (rollout === null)
    return (
      <Empty
        title={isPast ? `${model} had no rollout` : `${model} has no rollout`}
        commands={[`lockstep model push ${model} ${model}.onnx`, `lockstep rollout start ${model}@2 --plan default`]}
      >
        A rollout gives a new version a growing share of the requests, as long as its gates pass.
      </Empty>
    )
  return (
    <>
      <Panel title="Steps to all requests" ways={ways}>
        {rollout.steps.length > 0 && (
          <ol className="steps" aria-label="Steps">
            {rollout.steps.map((step, index) => {
              const place =
                rollout.step === null
                  ? 'ahead'
                  : index < rollout.step || rollout.state === 'promoted'
                    ? 'done'
                    : index === rollout.step
                      ? 'current'
                      : 'ahead'
              return (
                <li key={index} data-place={place} aria-current={place === 'current' ? 'step' : undefined}>
                  <strong>{formatNumber(step.share, 'share')}</strong>
                  <span>
                    {place === 'done'
                      ? 'passed'
                      : place === 'current'
                        ? rollout.state === 'running'
                          ? isPast
                            ? 'then'
                            : 'now'
                          : rollout.state
                        : `at least ${step.atLeast}`}
                  </span>
                </li>
              )
            })}
          </ol>
        )}
        <Facts
          of={[
            ['Model', <ThingLink key="model" kind="model" id={model} />],
            ['Candidate', `version ${rollout.version}`],
            [rollout.endedAt === null ? 'Champion' : 'Champion at the start', champion === null ? 'none' : `version ${champion}`],
            ['Pinned', pinned === null ? null : pinText(pinned, isPast)],
            [isPast ? 'Share then' : 'Share now', rollout.endedAt === null ? shareText(rollout, pinned) : null],
            ['Split by', rollout.unit],
            [
              'Started',
              <span key="s">
                <Moment at={rollout.startedAt} /> by {rollout.startedBy}
              </span>,
            ],
            ['Step since', rollout.endedAt === null ? <Moment key="since" at={rollout.since} /> : null],
            ['Ended', rollout.endedAt === null ? null : <Moment key="end" at={rollout.endedAt} />],
          ]}
        />
        <Chart chart={traffic} label="Share of the candidate" kind="step" height={130} />
        <DecisionMarks id={id} decisions={decisions} />
      </Panel>
      <Panel title="Gates" says="Each gate collects evidence until it is decided." ways={ways}>
        {gates.length === 0 ? (
          <p className="dim">The rollout has no gates: its share is changed by hand.</p>
        ) : (
          <div className="grid-2">
            {gates.map((gate) => (
              <GateMeter key={gate.name} gate={gate} />
            ))}
          </div>
        )}
      </Panel>
      <Decisions id={id} decisions={decisions} />
      {others.length > 0 && (
        <Panel title="Other rollouts" flush says="The newest first." ways={ways}>
          <DataTable
            label="Other rollouts of the model"
            rows={others}
            rowKey={(other) => other.id}
            columns={[
              {
                name: 'Rollout',
                cell: ({ id: other, version }) => (
                  <Link
                    to="/rollouts/$id"
                    params={{ id: model }}
                    search={(before: { asOf?: string }) => ({ ...keepMoment(before), rollout: other })}
                  >
                    version {version}
                  </Link>
                ),
                by: ({ version }) => version,
              },
              { name: 'State', cell: ({ state }) => <StateBadge state={state} />, by: ({ state }) => state },
              { name: 'Share', numeric: true, cell: ({ share }) => formatNumber(share, 'share'), by: ({ share }) => share },
              { name: 'Started', cell: ({ startedAt }) => <Moment at={startedAt} />, by: ({ startedAt }) => startedAt },
              { name: 'Ended', wide: true, cell: ({ endedAt }) => <Moment at={endedAt} />, by: ({ endedAt }) => endedAt },
            ]}
          />
        </Panel>
      )}
    </>
  )
}

/** The share of the requests that name no version, which a pin overrides. */
function shareText({ share, version }: Rollout, pinned: number | null): string {
  const set = formatNumber(share, 'share')
  return pinned === null ? set : `${formatNumber(pinned === version ? 1 : 0, 'share')} by the pin, ${set} without it`
}

const verdictTones = { passes: 'good', fails: 'bad', undecided: 'plain' } as const

/** How far the evidence of a gate is on its way to a decision. */
function GateMeter({ gate: { name, verdict, says, progress, evidence, bound } }: { readonly gate: Gate }): ReactElement {
  return (
    <GateCard name={name} state={verdict} tone={verdictTones[verdict]} says={says}>
      {progress !== null && (
        <GateBar
          share={progress}
          label={`Evidence of gate ${name}`}
          text={`${formatNumber(Math.min(1, progress), 'share')} of what a decision needs`}
        />
      )}
      {evidence !== null && (
        <Chart chart={evidence} label={`Evidence of gate ${name}`} height={120} {...(bound === null ? {} : { bound })} />
      )}
    </GateCard>
  )
}

interface DecisionsProps {
  readonly id: string
  readonly decisions: RolloutData['decisions']
}

/** A mark for each decision, about where it was made in time. Each opens what it was decided on. */
function DecisionMarks({ id, decisions }: DecisionsProps): ReactElement | null {
  const [open, setOpen] = useState<string | null>(null)
  const marks = decisions.toReversed()
  const times = marks.map(({ at }) => Date.parse(at))
  if (marks.length === 0) return null
  return (
    <>
      <ol className="marks" aria-label="Decisions over time">
        {marks.map(({ id: decision, action, at, hasEvidence, replaysSame }, index) => {
          const tone = replaysSame === false ? 'bad' : (actionTones[action] ?? 'plain')
          const text = `${action}, ${formatMoment(at)} UTC${replaysSame === false ? ', decides otherwise now' : ''}`
          const next = times[index + 1] ?? times[index] ?? 0
          return (
            <li key={decision} style={{ flexGrow: Math.max(1, next - (times[index] ?? 0)) }}>
              <UnstyledButton data-tone={tone} disabled={!hasEvidence} title={text} aria-label={text} onClick={() => setOpen(decision)} />
            </li>
          )
        })}
      </ol>
      <p className="marks-say dim small">Decisions over time: open one to see its evidence. A square has none.</p>
      <EvidenceDialog id={id} decision={open} close={() => setOpen(null)} />
    </>
  )
}

const actionTones: Readonly<Record<string, 'good' | 'warn' | 'bad'>> = {
  advance: 'good',
  promote: 'good',
  hold: 'warn',
  pause: 'warn',
  'roll back': 'bad',
  abort: 'bad',
}

function Decisions({ id, decisions }: DecisionsProps): ReactElement {
  const [open, setOpen] = useState<string | null>(null)
  return (
    <Panel
      title="Decisions"
      flush
      says="Open a decision to see its evidence. Of checks that changed nothing, each step keeps the newest of each kind."
      ways={waysOf.decisions(id)}
    >
      <DataTable
        label="Decisions, newest first"
        rows={decisions}
        rowKey={(decision) => decision.id}
        empty={<EmptyState description="Nothing is decided yet." />}
        columns={[
          { name: 'When', cell: ({ at }) => <Moment at={at} /> },
          {
            name: 'Decision',
            cell: ({ id: decision, action, hasEvidence }) =>
              hasEvidence ? (
                <Anchor component="button" type="button" onClick={() => setOpen(decision)}>
                  {action}
                </Anchor>
              ) : (
                action
              ),
          },
          {
            name: 'Share',
            cell: ({ action, shareBefore, shareAfter }) => {
              // a rollout that has ended, or has not begun, has no share of its own
              const [before, after] = [shareBefore ?? 0, shareAfter ?? (action === 'promote' ? 1 : 0)]
              return before === after ? formatNumber(after, 'share') : `${formatNumber(before, 'share')} → ${formatNumber(after, 'share')}`
            },
          },
          { name: 'By', cell: ({ by }) => <span className="break">{by}</span> },
          {
            name: 'Replay',
            cell: ({ replaysSame }) =>
              replaysSame === null ? (
                '–'
              ) : (
                <StateBadge state={replaysSame ? 'ok' : 'failed'}>{replaysSame ? 'the same' : 'otherwise'}</StateBadge>
              ),
          },
          {
            name: 'Why',
            wide: true,
            cell: ({ reasons }) =>
              reasons.length > 0 && (
                <ul className="reasons">
                  {reasons.map((reason) => (
                    <li key={reason}>{keepUnits(reason)}</li>
                  ))}
                </ul>
              ),
          },
        ]}
      />
      <EvidenceDialog id={id} decision={open} close={() => setOpen(null)} />
    </Panel>
  )
}
