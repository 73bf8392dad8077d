import { useElementSize } from '@mantine/hooks'
import type { PointerEvent, ReactElement } from 'react'
import { formatMoment } from '../parts/format.ts'
import { type Feature, type RowState, type Step, type View, rowStates, stepAt } from './explain-steps.ts'

const lanes = ['event', 'known', 'visible'] as const
const laneNames = { event: 'Happened', known: 'Known', visible: 'Counts from' } as const
const [left, laneHeight, top, labelWidth] = [86, 46, 18, 140]
const colors: Readonly<Record<RowState, string>> = { counted: 'var(--good)', waiting: 'var(--warn)', out: 'var(--mark)' }

interface LanesProps {
  readonly view: View
  readonly feature: Feature | undefined
  readonly t: number
  readonly from: number
  readonly to: number
  readonly onTime: (t: number) => void
}

/**
 * Three lanes over one axis: when each row happened, when it was known, and from when it counts. The table below says
 * the same.
 */
export function Lanes({ view, feature, t, from, to, onTime }: LanesProps): ReactElement {
  const { ref, width } = useElementSize()
  const states = rowStates(view, feature, t)
  const right = Math.max(left + 100, width - 8)
  const x = (at: number): number => left + Math.max(0, Math.min(1, (at - from) / (to - from || 1))) * (right - left)
  const y = (lane: number): number => top + lane * laneHeight + laneHeight / 2
  const height = top + lanes.length * laneHeight + 20
  const windowFrom = feature === undefined ? null : (stepAt(feature.steps, t)?.from ?? null)
  const drag = (event: PointerEvent<SVGSVGElement>): void => {
    if (event.buttons !== 1) return
    const place = event.clientX - event.currentTarget.getBoundingClientRect().left
    onTime(Math.round(from + Math.max(0, Math.min(1, (place - left) / (right - left))) * (to - from)))
  }
  const counted = states.filter((state) => state === 'counted').length
  const waiting = states.filter((state) => state === 'waiting').length
  const finding = `At ${formatMoment(t)} UTC, ${counted} ${counted === 1 ? 'row counts' : 'rows count'}${feature === undefined ? '' : ` in ${feature.feature}`} and ${waiting} ${waiting === 1 ? 'is' : 'are'} not known yet`
  return (
    <figure className="lanes" ref={ref} aria-label={finding}>
      <svg width={Math.max(200, width)} height={height} role="img" aria-label={finding} onPointerDown={drag} onPointerMove={drag}>
        {windowFrom !== null && (
          <rect x={x(windowFrom)} y={top} width={Math.max(0, x(t) - x(windowFrom))} height={laneHeight} fill="var(--good-soft)" />
        )}
        {lanes.map((lane, index) => (
          <g key={lane}>
            <line x1={left} x2={right} y1={y(index)} y2={y(index)} stroke="var(--line)" />
            <text x={0} y={y(index) + 4} fill="var(--ink-2)" fontSize="12.5">
              {laneNames[lane]}
            </text>
          </g>
        ))}
        {view.rows.map((row, index) => {
          const state = states[index] ?? 'out'
          const isOut = row.event < from && row.visible < from
          if (isOut) return null
          return (
            <g
              key={index}
              stroke={colors[state]}
              fill={state === 'waiting' ? 'var(--surface)' : colors[state]}
              opacity={state === 'out' ? 0.55 : 1}
            >
              <path
                d={`M${x(row.event)} ${y(0)}L${x(row.known)} ${y(1)}L${x(row.visible)} ${y(2)}`}
                fill="none"
                strokeWidth={state === 'counted' ? 1.3 : 0.9}
                strokeDasharray={state === 'waiting' ? '3 3' : undefined}
                opacity="0.6"
              />
              <Mark state={state} x={x(row.event)} y={y(0)} />
              <Mark state={state} x={x(row.known)} y={y(1)} />
              <Mark state={state} x={x(row.visible)} y={y(2)} />
            </g>
          )
        })}
        <line x1={x(t)} x2={x(t)} y1={4} y2={height - 18} stroke="var(--accent)" strokeWidth="2" />
        <text
          x={Math.min(Math.max(x(t), left + labelWidth / 2), right - labelWidth / 2)}
          y={height - 4}
          textAnchor="middle"
          fill="var(--accent)"
          fontSize="12"
          fontWeight="600"
        >
          {formatMoment(t)}
        </text>
        {[from, to].map((end) => {
          const middle = Math.min(Math.max(x(t), left + labelWidth / 2), right - labelWidth / 2)
          // where the moment's own label stands, it says nearly the same
          if (Math.abs(x(end) - middle) < labelWidth * 1.5) return null
          return (
            <text key={end} x={x(end)} y={height - 4} textAnchor={end === from ? 'start' : 'end'} fill="var(--ink-3)" fontSize="11.5">
              {formatMoment(end)}
            </text>
          )
        })}
        <text x={0} y={height - 4} fill="var(--ink-3)" fontSize="11.5">
          UTC
        </text>
      </svg>
      <figcaption className="lane-legend">
        <LegendItem state="counted">counts</LegendItem>
        <LegendItem state="waiting">not known yet</LegendItem>
        <LegendItem state="out">does not count</LegendItem>
        {windowFrom !== null && <span className="dim">The green field is the window.</span>}
      </figcaption>
    </figure>
  )
}

/** A disc counts, a ring waits, a small square is out. */
function Mark({ state, x, y }: { readonly state: RowState; readonly x: number; readonly y: number }): ReactElement {
  if (state === 'out') return <rect x={x - 2.5} y={y - 2.5} width="5" height="5" />
  return <circle cx={x} cy={y} r={state === 'counted' ? 4.5 : 4} strokeWidth="1.8" />
}

function LegendItem({ state, children }: { readonly state: RowState; readonly children: string }): ReactElement {
  return (
    <span>
      <svg
        width="14"
        height="14"
        aria-hidden="true"
        focusable="false"
        stroke={colors[state]}
        fill={state === 'waiting' ? 'var(--surface)' : colors[state]}
      >
        <Mark state={state} x={7} y={7} />
      </svg>
      {children}
    </span>
  )
}

interface StepLineProps {
  readonly steps: readonly Step[]
  readonly name: string
  readonly t: number
  readonly from: number
  readonly to: number
  readonly width: number
}

/** A value over time as a line of steps, with the moment on it. Null is a gap. */
export function StepLine({ steps, name, t, from, to, width }: StepLineProps): ReactElement {
  const height = 30
  const numbers = steps.flatMap(({ number }) => (number === null ? [] : [number]))
  const [low, high] = [Math.min(...numbers), Math.max(...numbers)]
  const x = (at: number): number => Math.max(0, Math.min(1, (at - from) / (to - from || 1))) * width
  const y = (value: number): number => (high === low ? height / 2 : height - 4 - ((value - low) / (high - low)) * (height - 8))
  const path = steps
    .map(({ number, t: begin }, index) => {
      if (number === null) return ''
      const before = steps[index - 1]?.number
      const end = x(steps[index + 1]?.t ?? to)
      return `${before === null || before === undefined ? 'M' : 'L'}${x(begin)} ${y(number)}H${end}`
    })
    .join('')
  const now = stepAt(steps, t)
  return (
    <svg width={width} height={height} role="img" aria-label={`${name} over time: now ${now?.value ?? 'null'}, ${steps.length} changes`}>
      <path d={path} fill="none" stroke="var(--series-1)" strokeWidth="1.8" />
      <line x1={x(t)} x2={x(t)} y1="0" y2={height} stroke="var(--accent)" strokeWidth="1" strokeDasharray="2 2" />
      {now?.number !== null && now !== undefined && <circle cx={x(t)} cy={y(now.number)} r="3.5" fill="var(--accent)" />}
    </svg>
  )
}
