import type { Dashboard } from './dashboard.ts'
import { quantile, rate, selected } from './dashboard.ts'

const view = 'view=~"$view"'
const stores = 'lockstep_store_seconds'

export const dataPlane: Dashboard = {
  name: 'data-plane',
  title: 'Lockstep: data plane',
  description: 'Stores, pushes, streams, runs of views and jobs.',
  variables: ['view'],
  rows: [
    {
      title: 'Stores',
      panels: [
        {
          title: 'Operations',
          description: 'Operations of the stores a second. Of reads of features, one in eight is counted.',
          unit: 'ops',
          queries: [{ promql: rate(`${stores}_count`, ['store', 'operation']), legend: '{{store}} {{operation}}' }],
        },
        {
          title: 'Round trips, p99',
          description: 'Time of operations of the stores, failed ones included.',
          unit: 's',
          queries: [{ promql: quantile(0.99, stores, ['store', 'operation']), legend: '{{store}} {{operation}}' }],
        },
        {
          title: 'Round trips by instance, p50',
          description: 'One instance that is slower than others: look at its network and its processor.',
          unit: 's',
          queries: [{ promql: quantile(0.5, stores, ['store', 'instance']), legend: '{{store}} {{instance}}' }],
        },
        {
          title: 'Stores that answer',
          description: '1: the store answered the last ping of a worker.',
          unit: 'bool_yes_no',
          queries: [
            { promql: `min by (dependency, instance) (${selected('lockstep_dependency_up')})`, legend: '{{dependency}} {{instance}}' },
          ],
        },
        {
          title: 'Open circuit breakers',
          description: '1: a server does not ask this store, or this server of a Redis Cluster, for a moment, because it kept failing.',
          unit: 'bool_yes_no',
          queries: [
            {
              promql: `max by (dependency, server, instance) (${selected('lockstep_breaker_open')})`,
              legend: '{{dependency}} {{server}} {{instance}}',
            },
          ],
        },
        {
          title: 'Failures of the online store',
          description: 'Reads and writes a second that failed, by the code of the error.',
          unit: 'ops',
          queries: [{ promql: rate('lockstep_online_errors_total', ['code']), legend: '{{code}}' }],
        },
        {
          title: 'Oldest open transaction',
          description: 'Rows that were written after it began do not reach the online store before it ends.',
          unit: 's',
          queries: [
            {
              promql: `max by (application, database) (${selected('lockstep_oldest_transaction_seconds')})`,
              legend: '{{application}} {{database}}',
            },
          ],
        },
      ],
    },
    {
      title: 'Pushes and streams',
      panels: [
        {
          title: 'Pushed events',
          description: 'Events a second: committed, known already, and requests that were refused, by reason.',
          unit: 'ops',
          queries: [
            { promql: rate('lockstep_push_events_total', ['source']), legend: '{{source}}' },
            { promql: rate('lockstep_push_duplicates_total', ['source']), legend: '{{source}} known' },
            { promql: rate('lockstep_push_rejected_total', ['reason']), legend: 'refused: {{reason}}' },
          ],
        },
        {
          title: 'From commit to online state',
          description: 'How long the events of a transaction take: p50 and p99.',
          unit: 's',
          queries: [0.5, 0.99].map((q) => ({
            promql: quantile(q, 'lockstep_push_fold_seconds', ['source']),
            legend: `{{source}} p${q * 100}`,
          })),
        },
        {
          title: 'Events that wait to be written',
          description: 'The queue of pushed events.',
          unit: 'short',
          queries: [{ promql: `sum by (source) (${selected('lockstep_push_waiting_events')})`, legend: '{{source}}' }],
        },
        {
          title: 'Stream messages',
          description: 'Messages a second that workers finished, by outcome.',
          unit: 'ops',
          queries: [{ promql: rate('lockstep_stream_messages_total', ['source', 'outcome']), legend: '{{source}} {{outcome}}' }],
        },
        {
          title: 'Stream lag',
          description: 'Messages that wait, or are given to a worker and not acknowledged.',
          unit: 'short',
          queries: [{ promql: `max by (source, state) (${selected('lockstep_stream_lag_messages')})`, legend: '{{source}} {{state}}' }],
        },
        {
          title: 'Failures of pushes and streams',
          description: 'How often a second folding began to fail, or a stream could not be read or its rows not be written.',
          unit: 'ops',
          queries: [
            { promql: rate('lockstep_push_fold_failures_total', ['source']), legend: '{{source}} fold' },
            { promql: rate('lockstep_stream_failures_total', ['source']), legend: '{{source}} stream' },
          ],
        },
      ],
    },
    {
      title: 'Runs of views',
      panels: [
        {
          title: 'Runs',
          description: 'Runs a second that materialized a view, by outcome.',
          unit: 'ops',
          queries: [{ promql: rate('lockstep_view_runs_total', ['view', 'outcome'], view), legend: '{{view}} {{outcome}}' }],
        },
        {
          title: 'Folded rows',
          description: 'Rows a second that runs folded into states.',
          unit: 'rowsps',
          queries: [{ promql: rate('lockstep_view_run_rows_total', ['view'], view), legend: '{{view}}' }],
        },
        {
          title: 'Since the last run',
          description: 'Time since the last materialization of the view ended.',
          unit: 's',
          queries: [{ promql: `min by (view) (${selected('lockstep_view_last_run_age_seconds', view)})`, legend: '{{view}}' }],
        },
        {
          title: 'Transactions that wait',
          description: 'Transactions of the source whose rows the online store lacks.',
          unit: 'short',
          queries: [{ promql: `max by (view) (${selected('lockstep_view_lag_transactions', view)})`, legend: '{{view}}' }],
        },
        {
          title: 'Failing runs',
          description: 'How many runs of the view have failed since one succeeded, from three on.',
          unit: 'short',
          limits: { warn: 1, bad: 3 },
          queries: [{ promql: `max by (view) (${selected('lockstep_view_failing_runs', view)})`, legend: '{{view}}' }],
        },
        {
          title: 'Dropped log lines',
          description: 'Lines a second that could not be written to standard error.',
          unit: 'ops',
          queries: [{ promql: rate('lockstep_log_lines_dropped_total', ['instance']), legend: '{{instance}}' }],
        },
      ],
    },
    {
      title: 'Jobs',
      panels: [
        {
          title: 'Jobs by state',
          description: 'Of the complete database: running, waiting for a worker, and failed ones in the history.',
          unit: 'short',
          queries: [{ promql: `max by (kind, state) (${selected('lockstep_jobs')})`, legend: '{{kind}} {{state}}' }],
        },
        {
          title: 'Longest wait for a worker',
          description: 'If it grows, no worker takes jobs of that kind.',
          unit: 's',
          limits: { warn: 300, bad: 900 },
          queries: [{ promql: `max by (kind) (${selected('lockstep_jobs_oldest_waiting_seconds')})`, legend: '{{kind}}' }],
        },
        {
          title: 'Steps',
          description: 'Steps a second, by outcome. "lost" ones were taken over by another worker.',
          unit: 'ops',
          queries: [{ promql: rate('lockstep_jobs_total', ['kind', 'outcome']), legend: '{{kind}} {{outcome}}' }],
        },
        {
          title: 'Time of steps, p90',
          description: 'Of steps that are done.',
          unit: 's',
          queries: [{ promql: quantile(0.9, 'lockstep_job_seconds', ['kind']), legend: '{{kind}}' }],
        },
        {
          title: 'Steps under way',
          description: 'Steps that workers hold now.',
          unit: 'short',
          queries: [{ promql: `sum by (instance, kind) (${selected('lockstep_jobs_held')})`, legend: '{{instance}} {{kind}}' }],
        },
      ],
    },
  ],
}
