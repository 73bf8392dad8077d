import { Badge } from '@mantine/core'
import type { ReactElement, ReactNode } from 'react'
import { Icon } from '../shell/icon.tsx'

export type Tone = 'good' | 'warn' | 'bad' | 'calm' | 'plain'

const tones: Readonly<Record<string, Tone>> = {
  ok: 'good',
  fresh: 'good',
  ready: 'good',
  healthy: 'good',
  passed: 'good',
  pass: 'good',
  champion: 'good',
  done: 'good',
  finished: 'good',
  succeeded: 'good',
  promoted: 'good',
  registered: 'good',
  present: 'good',
  served: 'good',
  active: 'good',
  running: 'calm',
  evaluating: 'calm',
  waiting: 'plain',
  queued: 'plain',
  planned: 'plain',
  info: 'calm',
  silenced: 'plain',
  pending: 'plain',
  collecting: 'plain',
  warn: 'warn',
  warning: 'warn',
  late: 'warn',
  waits: 'warn',
  no_worker: 'bad',
  broken: 'bad',
  paused: 'warn',
  refused: 'warn',
  pinned: 'warn',
  stale: 'warn',
  gap: 'warn',
  unknown: 'warn',
  canceled: 'plain',
  cancelled: 'plain',
  ended: 'plain',
  revoked: 'plain',
  expired: 'plain',
  page: 'bad',
  critical: 'bad',
  firing: 'bad',
  failed: 'bad',
  error: 'bad',
  aborted: 'bad',
  rolled_back: 'bad',
  open: 'bad',
  breached: 'bad',
  fault: 'bad',
}

/** The tone that a state has everywhere. */
function toneOf(state: string): Tone {
  return tones[state.toLowerCase().replaceAll(/[\s-]/g, '_')] ?? 'plain'
}

/** A state in a word, with a sign and a colour. */
export function StateBadge({ state, tone = toneOf(state), children }: { state: string; tone?: Tone; children?: ReactNode }): ReactElement {
  return (
    <Badge component="span" data-tone={tone} leftSection={<Icon name={tone} size={13} />}>
      {children ?? state.replaceAll('_', ' ')}
    </Badge>
  )
}
