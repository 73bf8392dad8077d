import type { Dashboard } from './dashboard.ts'
import { quantile, rate, selected } from './dashboard.ts'

const view = 'view=~"$view"'
const ofView = (metric: string, how: 'max' | 'min' = 'max'): string => `${how} by (view) (${selected(metric, view)})`
const statuses = 'lockstep_feature_statuses_total'

export const features: Dashboard = {
  name: 'features',
  title: 'Lockstep: features and freshness',
  description: 'How fresh views are, as stored and as served, and what the values of features are.',
  variables: ['view'],
  rows: [
    {
      title: 'Freshness',
      panels: [
        {
          title: 'Age of the newest row, as served',
          description:
            'Age of the newest row in any answer, by a sample of the reads, beside the freshness that the view declares. It also grows if the source has no new rows, or if nobody reads the view.',
          unit: 's',
          queries: [
            { promql: ofView('lockstep_served_newest_age_seconds', 'min'), legend: '{{view}}' },
            { promql: ofView('lockstep_view_freshness_target_seconds'), legend: '{{view}} target' },
          ],
        },
        {
          title: 'Age of answers, as served',
          description:
            "Age of the entity's newest row when it is answered: p50 and p95 of a sample of the reads. An entity without new rows is old, however fresh its view is.",
          unit: 's',
          queries: [0.5, 0.95].map((q) => ({
            promql: quantile(q, 'lockstep_served_age_seconds', ['view'], view),
            legend: `{{view}} p${q * 100}`,
          })),
        },
        {
          title: 'Behind the source',
          description: 'The longest time that rows of the source may have waited for the online store. 0: none waits.',
          unit: 's',
          queries: [{ promql: ofView('lockstep_view_lag_seconds'), legend: '{{view}}' }],
        },
        {
          title: 'Behind the source, as share of the target',
          description: 'Above 1, the view is late. Only for views that declare freshness.',
          unit: 'percentunit',
          limits: { warn: 0.8, bad: 1 },
          queries: [
            { promql: `${ofView('lockstep_view_lag_seconds')} / ${ofView('lockstep_view_freshness_target_seconds')}`, legend: '{{view}}' },
          ],
        },
        {
          title: 'Rows that wait',
          description: 'Committed rows of the source that the online store lacks, counted up to 10,000.',
          unit: 'short',
          queries: [{ promql: ofView('lockstep_view_lag_rows'), legend: '{{view}}' }],
        },
        {
          title: 'Age of the newest row in the source',
          description: 'Since the greatest event time among the rows that arrived last. It grows if the feed stops.',
          unit: 's',
          queries: [{ promql: ofView('lockstep_view_newest_row_age_seconds'), legend: '{{view}}' }],
        },
        {
          title: 'Late views',
          description: '1: further behind than its freshness, or its scheduled run is overdue. Only for views that declare one of them.',
          unit: 'bool_yes_no',
          queries: [{ promql: ofView('lockstep_view_late'), legend: '{{view}}' }],
        },
        {
          title: 'Answers while a scheduled run was overdue',
          description: 'Requests a second. Their answers name the view in "late".',
          unit: 'reqps',
          queries: [{ promql: rate('lockstep_late_requests_total', ['view'], view), legend: '{{view}}' }],
        },
        {
          title: 'In the online store',
          description: '1: the store holds the view as the registry defines it. Requests for others get NOT_READY.',
          unit: 'bool_yes_no',
          queries: [{ promql: ofView('lockstep_online_view_materialized', 'min'), legend: '{{view}}' }],
        },
      ],
    },
    {
      title: 'Values',
      panels: [
        {
          title: 'Values by status',
          description: 'Feature values a second, by why they are what they are.',
          unit: 'ops',
          stacked: true,
          queries: [{ promql: rate(statuses, ['status']), legend: '{{status}}' }],
        },
        {
          title: 'Missing values, top 10 features',
          description: 'The share of values with a status other than PRESENT.',
          unit: 'percentunit',
          queries: [
            {
              promql: `topk(10, ${rate(statuses, ['service', 'feature'], 'status!="PRESENT"')} / ${rate(statuses, ['service', 'feature'])})`,
              legend: '{{service}} {{feature}}',
            },
          ],
        },
        {
          title: 'Answers from the history',
          description: 'Views that were answered from PostgreSQL for an entity, a second: slower than from the online store.',
          unit: 'ops',
          queries: [{ promql: rate('lockstep_history_answers_total', ['service']), legend: '{{service}}' }],
        },
        {
          title: 'Degraded answers',
          description: 'Requests a second that were answered with defaults or stale values, because the online store could not be read.',
          unit: 'reqps',
          queries: [{ promql: rate('lockstep_degraded_requests_total', ['service']), legend: '{{service}}' }],
        },
        {
          title: 'Answers ahead of the clock',
          description: "Requests a second at which this machine's clock was behind the stored data.",
          unit: 'reqps',
          queries: [{ promql: rate('lockstep_skewed_requests_total', ['service']), legend: '{{service}}' }],
        },
        {
          title: 'Transforms that were stopped',
          description: 'Calls a second that took too long.',
          unit: 'ops',
          queries: [{ promql: rate('lockstep_transform_timeouts_total', ['view'], view), legend: '{{view}}' }],
        },
        {
          title: 'Entities set aside',
          description: 'Entities without a state in the store, because their rows cannot be folded. The history answers for them.',
          unit: 'short',
          queries: [{ promql: ofView('lockstep_view_set_aside_entities'), legend: '{{view}}' }],
        },
        {
          title: 'States over their cap',
          description: "How often a second a state was not stored because it exceeds its view's maxStateBytes.",
          unit: 'ops',
          queries: [{ promql: rate('lockstep_states_over_cap_total', ['view'], view), legend: '{{view}}' }],
        },
        {
          title: 'Parity: values that differ',
          description: 'The share of logged values that differ from the history, of one hour. Made by the recording rules.',
          unit: 'percentunit',
          limits: { warn: 0.0005, bad: 0.001 },
          queries: [{ promql: 'lockstep:parity_mismatch_ratio:rate1h', legend: '{{service}}' }],
        },
      ],
    },
  ],
}
