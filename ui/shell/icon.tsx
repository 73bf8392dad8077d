import type { ReactElement } from 'react'

/** Paths of 24 by 24 strokes. */
const paths = {
  now: 'M3 12h4l3-8 4 16 3-8h4',
  catalog: 'M4 5h16M4 12h16M4 19h10',
  lineage: 'M5 6h4v4H5zM15 4h4v4h-4zM15 16h4v4h-4zM9 8h3v10h3M12 8V6h3',
  model: 'M12 3l8 4.5v9L12 21l-8-4.5v-9zM12 12l8-4.5M12 12v9M12 12L4 7.5',
  rollout: 'M4 19h4v-4h4v-4h4V7h4',
  experiment: 'M9 3h6M10 3v6l-5 9a2 2 0 002 3h10a2 2 0 002-3l-5-9V3M8 15h8',
  training: 'M4 19V9M10 19V5M16 19v-7M3 19h18M20 5l-3 3M17 5h3v3',
  pipeline: 'M3 8h5l4 8h9M3 16h5l1-2M14 10l1-2h6M18 5l3 3-3 3M18 13l3 3-3 3',
  explain: 'M12 7v5l3 2M12 21a9 9 0 110-18 9 9 0 010 18z',
  receipt: 'M6 3h12v18l-3-2-3 2-3-2-3 2zM9 8h6M9 12h6',
  parity: 'M4 4h6v6H4zM14 4h6v6h-6zM4 14h6v6H4zM14 14h6v6h-6z',
  jobs: 'M4 6h16M4 12h10M4 18h13',
  alerts: 'M6 17h12l-1.5-2.5V10a4.5 4.5 0 00-9 0v4.5zM10 20h4',
  keys: 'M14 10a4 4 0 11-3.9-4A4 4 0 0114 10zM13 12l7 7M17 16l2-2',
  audit: 'M5 4h14v16H5zM9 9h6M9 13h6M9 17h3',
  search: 'M11 18a7 7 0 110-14 7 7 0 010 14zM16 16l5 5',
  sun: 'M12 16a4 4 0 110-8 4 4 0 010 8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.4 1.4M17.6 17.6L19 19M5 19l1.4-1.4M17.6 6.4L19 5',
  menu: 'M4 6h16M4 12h16M4 18h16',
  out: 'M10 4H5v16h5M15 8l4 4-4 4M19 12H9',
  code: 'M8 7l-5 5 5 5M16 7l5 5-5 5',
  table: 'M4 5h16v14H4zM4 10h16M10 10v9',
  clock: 'M12 7v5l3 2M12 21a9 9 0 110-18 9 9 0 010 18z',
  good: 'M5 12.5l4.5 4.5L19 7.5',
  warn: 'M12 4l9 16H3zM12 10v4M12 17v.5',
  bad: 'M12 21a9 9 0 110-18 9 9 0 010 18zM12 7v6M12 16v.5',
  calm: 'M12 21a9 9 0 110-18 9 9 0 010 18zM12 11v6M12 7.5v.5',
  plain: 'M8 12h8',
} as const

export type IconName = keyof typeof paths

/** A drawing beside a text that says the same: screen readers skip it. */
export function Icon({ name, size = 17 }: { readonly name: IconName; readonly size?: number }): ReactElement {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.9"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      <path d={paths[name]} />
    </svg>
  )
}
