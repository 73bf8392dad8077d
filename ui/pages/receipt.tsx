import { Button, TextInput } from '@mantine/core'
import { useNavigate, useParams } from '@tanstack/react-router'
import { type FormEvent, type ReactElement, useState } from 'react'
import type { ReceiptData } from '../../serving/dashboard/contract/receipt.ts'
import { useRead } from '../api/use-read.ts'
import { StateBadge } from '../parts/state-badge.tsx'
import { DataTable } from '../parts/data-table.tsx'
import { Facts } from '../parts/facts.tsx'
import { formatMoment, formatNumber } from '../parts/format.ts'
import { Moment } from '../parts/moment.tsx'
import { Page } from '../parts/page.tsx'
import { Panel } from '../parts/panel.tsx'
import { ShortText } from '../parts/short-text.tsx'
import { Empty, Loaded } from '../parts/states.tsx'
import { FeatureLink, ThingLink } from '../parts/thing-link.tsx'
import { waysOf } from '../parts/ways.ts'
import { ExplainLink } from '../parts/explain-link.tsx'
import { keepMoment } from '../shell/navigation.tsx'
import { Waterfall } from '../parts/waterfall.tsx'

/** Why the version answered. */
const roles: Readonly<Record<string, string>> = {
  champion: 'champion',
  canary: 'candidate of a rollout',
  arm: 'variant of an experiment',
  shadow: 'shadow: its answer was not sent',
  requested: 'the version that the request named',
  backfill: 'backfill: no client asked for it',
}

type Prediction = ReceiptData['predictions'][number]

/** What answered a request, from what, and how long each stage took. */
export default function Receipt(): ReactElement {
  const { id: encoded, _splat: typed } = useParams({ strict: false })
  // the splat of "/receipt" itself is empty
  const id = encoded ?? (typed === '' ? undefined : typed)
  return (
    <Page
      title="Receipt"
      says="What answered a request, from which values, how long each stage took, and what came of it."
      ownMoment="A receipt is of the moment of its predictions."
      {...(id === undefined ? {} : { kind: id })}
    >
      <Ask key={id} initial={id ?? ''} />
      {id === undefined ? (
        <Empty
          title="Which request?"
          commands={['lockstep predictions list --limit 5', 'curl "$LOCKSTEP/v1/predictions?limit=5" -H "authorization: Bearer $KEY"']}
        >
          Every answer has its id in the header x-request-id, and a prediction id for each row.
        </Empty>
      ) : (
        <ReceiptOf id={id} />
      )}
    </Page>
  )
}

function Ask({ initial }: { readonly initial: string }): ReactElement {
  const [id, setId] = useState(initial)
  const navigate = useNavigate()
  const submit = (event: FormEvent): void => {
    event.preventDefault()
    if (id.trim() !== '') void navigate({ to: '/receipt/$id', params: { id: id.trim() }, search: keepMoment })
  }
  return (
    <form className="ask" onSubmit={submit}>
      <TextInput label="Request id or prediction id" value={id} onChange={(event) => setId(event.currentTarget.value)} autoComplete="off" />
      <Button type="submit">Show</Button>
    </form>
  )
}

function ReceiptOf({ id }: { readonly id: string }): ReactElement {
  const receipt = useRead<ReceiptData>(`receipts/${encodeURIComponent(id)}`, { everyMs: false, asOf: false })
  return (
    <Loaded of={receipt}>
      {({ predictions }) => (
        <>
          {predictions.map((prediction) => (
            <PredictionReceipt key={prediction.predictionId} prediction={prediction} isOne={predictions.length === 1} />
          ))}
        </>
      )}
    </Loaded>
  )
}

interface PredictionReceiptProps {
  readonly prediction: Prediction
  /** Whether it is the only one of the request. */
  readonly isOne: boolean
}

function PredictionReceipt({ prediction, isOne }: PredictionReceiptProps): ReactElement {
  const {
    predictionId,
    at,
    asOf,
    entity,
    model,
    version,
    service,
    role,
    experiment,
    outputs,
    outcomes,
    latencyMs,
    stages,
    features,
    recomputed,
  } = prediction
  const differs = features.some(({ isSame }) => isSame === false)
  return (
    <>
      <Panel title={`Prediction ${predictionId}`} ways={waysOf.prediction(predictionId)}>
        <Facts
          of={[
            ['Answered', <Moment key="at" at={at} exact />],
            ['Values as of', `${formatMoment(asOf)} UTC`],
            [
              'Entity',
              <span key="entity" className="mono">
                {entity}
              </span>,
            ],
            ['Model', <ThingLink key="model" kind="model" id={model}>{`${model}, version ${version}`}</ThingLink>],
            ['Service', <ThingLink key="service" kind="service" id={service} />],
            ['Answered as', roles[role] ?? role],
            [
              'Experiment',
              experiment === null ? null : (
                <ThingLink key="x" kind="experiment" id={experiment.name}>{`${experiment.name}, ${experiment.variant}`}</ThingLink>
              ),
            ],
            ['Outcome', outcomes.length === 0 ? 'none is declared' : null],
            ['Time of the request', latencyMs === null ? 'none: no server gave this answer' : formatNumber(latencyMs, 'ms')],
            ['Stages', stages.length > 0 ? null : 'not measured for this prediction'],
          ]}
        />
        <div className="outputs">
          {Object.entries(outputs).map(([name, value]) => (
            <div key={name}>
              <span className="dim">{name}</span>
              <strong>
                <ShortText text={value} />
              </strong>
            </div>
          ))}
        </div>
        {stages.length > 0 && (
          <Waterfall label="Stages, one after the other" unit="ms" stages={stages.map(({ name, ms }) => ({ name, value: ms }))} />
        )}
      </Panel>
      {outcomes.length > 0 && <Outcomes id={predictionId} of={isOne ? 'it' : predictionId} outcomes={outcomes} />}
      <Panel
        title={isOne ? 'Values' : `Values of ${predictionId}`}
        flush
        says={recomputed}
        actions={
          features.every(({ isSame }) => isSame === null) ? undefined : (
            <StateBadge state={differs ? 'failed' : 'ok'}>{differs ? 'Differs from history' : 'The same as of then'}</StateBadge>
          )
        }
        ways={waysOf.prediction(predictionId)}
      >
        <DataTable
          label={`Values of prediction ${predictionId}`}
          rows={features}
          rowKey={({ feature }) => feature}
          columns={[
            {
              name: 'Feature',
              by: ({ feature }) => feature,
              cell: ({ feature, view }) => <FeatureLink view={view} feature={feature} />,
            },
            { name: 'Served', numeric: true, cell: ({ value, status }) => <Answered value={value} status={status} /> },
            {
              name: 'Recomputed',
              cell: ({ recomputed: again, isSame }) => (
                <>
                  {isSame === null ? (
                    <span className="dim">not known</span>
                  ) : (
                    <StateBadge state={isSame ? 'ok' : 'failed'}>{isSame ? 'same' : 'differs'}</StateBadge>
                  )}
                  {isSame === false && again !== null && <Answered {...again} />}
                </>
              ),
            },
            { name: 'Event time (UTC)', cell: ({ eventTime }) => (eventTime === null ? '–' : formatMoment(eventTime)) },
            { name: 'Why', wide: true, cell: () => <ExplainLink name={service} entity={entity} at={asOf} /> },
          ]}
        />
      </Panel>
    </>
  )
}

interface OutcomesProps {
  readonly id: string
  /** What the title calls the prediction. */
  readonly of: string
  readonly outcomes: Prediction['outcomes']
}

function Outcomes({ id, of, outcomes }: OutcomesProps): ReactElement {
  return (
    <Panel title={`What came of ${of}`} flush ways={waysOf.prediction(id)}>
      <DataTable
        label={`Outcomes of prediction ${id}`}
        rows={outcomes}
        rowKey={({ outcome }) => outcome}
        columns={[
          { name: 'Outcome', by: ({ outcome }) => outcome, cell: ({ outcome }) => <ThingLink kind="outcome" id={outcome} /> },
          { name: 'State', cell: ({ state }) => <StateBadge state={state} /> },
          { name: 'Value', numeric: true, cell: ({ value }) => value ?? <span className="dim">–</span> },
          {
            name: 'The model',
            cell: ({ error, isRight }) => (
              <>
                {isRight !== null && <StateBadge state={isRight ? 'right' : 'wrong'} tone={isRight ? 'good' : 'warn'} />}
                {error !== null && <div className="small">{error}</div>}
                {error === null && isRight === null && <span className="dim">–</span>}
              </>
            ),
          },
          {
            name: 'When',
            wide: true,
            cell: ({ at, says }) => (
              <>
                <Moment at={at} exact />
                <div className="dim small">{says}</div>
              </>
            ),
          },
        ]}
      />
    </Panel>
  )
}

function Answered({ value, status }: { readonly value: string | null; readonly status: string }): ReactElement {
  return (
    <>
      <ShortText text={value} />
      {status !== 'PRESENT' && <div className="dim small">{status.toLowerCase().replaceAll('_', ' ')}</div>}
    </>
  )
}
