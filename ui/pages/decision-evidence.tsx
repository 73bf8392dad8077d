import { Modal, Table } from '@mantine/core'
import type { ReactElement } from 'react'
import type { DecisionEvidence } from '../../serving/dashboard/contract/rollout.ts'
import { useRead } from '../api/use-read.ts'
import { StateBadge } from '../parts/state-badge.tsx'
import { formatNumber } from '../parts/format.ts'
import { IntervalBar } from '../parts/interval-bar.tsx'
import { Moment } from '../parts/moment.tsx'
import { Loaded } from '../parts/states.tsx'
import { GateBar, GateCard } from './gate-card.tsx'

interface EvidenceDialogProps {
  /** Of the model. */
  readonly id: string
  /** null: the dialog is closed. */
  readonly decision: string | null
  readonly close: () => void
}

/** What a decision was made on, and whether the same is decided again. */
export function EvidenceDialog({ id, decision, close }: EvidenceDialogProps): ReactElement {
  return (
    <Modal
      opened={decision !== null}
      onClose={close}
      size="lg"
      title="Evidence of the decision"
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      {decision !== null && <Evidence id={id} decision={decision} />}
    </Modal>
  )
}

function Evidence({ id, decision }: { readonly id: string; readonly decision: string }): ReactElement {
  const evidence = useRead<DecisionEvidence>(`rollouts/${encodeURIComponent(id)}/decisions/${encodeURIComponent(decision)}`, {
    everyMs: false,
    asOf: false,
  })
  return (
    <Loaded of={evidence}>
      {({ facts, gates, replay, decision: { action, at, reasons } }) => (
        <div className="decision">
          <p>
            <strong>{action}</strong>, <Moment at={at} exact />
          </p>
          {/* gates say theirs below */}
          {reasons
            .filter((reason) => !gates.some(({ name }) => reason.startsWith(`${name}: `)))
            .map((reason) => (
              <p key={reason}>{reason}</p>
            ))}
          {gates.map((gate) => (
            <DecidedGate key={gate.name} gate={gate} />
          ))}
          {replay !== null && (
            <p>
              <StateBadge state={replay.isSame ? 'ok' : 'failed'}>
                {replay.isSame ? 'Replay: the same' : 'Replay: another decision'}
              </StateBadge>{' '}
              {replay.says}
            </p>
          )}
          <details>
            <summary>Raw evidence</summary>
            <Table variant="vertical">
              <Table.Caption className="hidden-text">What was decided on, as it is stored</Table.Caption>
              <Table.Tbody>
                {facts.map(({ name, value }) => (
                  <Table.Tr key={name}>
                    <Table.Th scope="row">{name}</Table.Th>
                    <Table.Td className="break">{value}</Table.Td>
                  </Table.Tr>
                ))}
              </Table.Tbody>
            </Table>
          </details>
        </div>
      )}
    </Loaded>
  )
}

const tones = { advance: 'good', 'roll back': 'bad', hold: 'warn', 'not enough evidence': 'plain' } as const

function DecidedGate({
  gate: { name, verdict, says, difference, meter },
}: {
  readonly gate: DecisionEvidence['gates'][number]
}): ReactElement {
  return (
    <GateCard name={name} label={`Gate ${name}, as it was decided`} state={verdict} tone={tones[verdict]} says={says}>
      {difference !== null && <Difference name={name} of={difference} />}
      {meter !== null && (
        <>
          <p className="dim">{meter.says}</p>
          <GateBar share={meter.reached} label={`Evidence of gate ${name}`} text={meter.says} />
        </>
      )}
    </GateCard>
  )
}

interface DifferenceProps {
  readonly name: string
  readonly of: NonNullable<DecisionEvidence['gates'][number]['difference']>
}

/** How much worse the candidate was, its interval, and the line of what is allowed. */
function Difference({ name, of }: DifferenceProps): ReactElement {
  const { unit, value, low, high, allowed } = of
  const show = (amount: number): string => formatNumber(amount, unit)
  return (
    <p className="row">
      <strong>{value > 0 ? `${show(value)} worse` : value < 0 ? `${show(-value)} better` : 'no difference'}</strong>
      <IntervalBar of={of} allowed={allowed} label={`How much worse the candidate was by gate ${name}`} unit={unit} />
      <span className="dim">
        interval {show(low)} to {show(high)}, allowed {show(allowed)}
      </span>
    </p>
  )
}
