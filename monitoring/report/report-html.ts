import type { ModelReport } from './model-report.ts'
import { alertsSection } from './alerts-section.ts'
import { driftSection } from './drift-section.ts'
import { freshnessSection } from './freshness-section.ts'
import { page } from './page.ts'
import { qualitySection } from './quality-section.ts'
import { nullsSection, trafficSection } from './traffic-sections.ts'

/** The report as one HTML file. It loads nothing, so it can be kept and sent. */
export function reportHtml(report: ModelReport): string {
  const { model, champion, from, to, drift, quality } = report
  const serving = champion === null ? 'no version serves by default' : `version ${champion} serves by default`
  const drifted = drift.value?.drifted ?? []
  const found = drifted.length === 0 ? 'no drift was found' : `drifted: ${drifted.join(', ')}`
  const judged = quality.value?.map(({ byVersion: { outcome, total } }) => `judged by ${outcome}: ${total.judged.toLocaleString('en')}`)
  return page(
    `${model}: model report`,
    [`${shown(from)} to ${shown(to)} (UTC); ${serving}`, [...(drift.value === null ? [] : [found]), ...(judged ?? [])].join('; ')],
    [
      alertsSection(report.alerts),
      trafficSection(report.traffic),
      qualitySection(quality),
      driftSection(drift),
      nullsSection(report.traffic),
      freshnessSection(report.freshness),
    ],
  )
}

/** `2026-03-01 14:05` */
function shown(timestamp: string): string {
  return timestamp.slice(0, 16).replace('T', ' ')
}
