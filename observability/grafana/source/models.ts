import type { Dashboard, Query } from './dashboard.ts'
import { quantile, rate, selected } from './dashboard.ts'

const model = 'model=~"$model"'
const version = ['model', 'version'] as const
const legend = '{{model}}@{{version}}'
const p99 = (metric: string, name: string): Query => ({ promql: quantile(0.99, metric, version, model), legend: `${legend} ${name}` })
const cache = 'lockstep_model_cache_rows_total'

export const models: Dashboard = {
  name: 'models',
  title: 'Lockstep: models',
  description: 'Requests, latency by stage, batches, cache and prediction log, by model and version.',
  variables: ['model'],
  rows: [
    {
      title: 'Requests',
      panels: [
        {
          title: 'Requests by version',
          description: 'Requests for predictions a second, over all protocols.',
          unit: 'reqps',
          stacked: true,
          queries: [{ promql: rate('lockstep_model_request_seconds_count', version, model), legend }],
        },
        {
          title: 'Failed requests by version',
          description: 'Requests a second that had a version and then failed, also by the fault of the client.',
          unit: 'reqps',
          queries: [{ promql: rate('lockstep_model_request_failures_total', version, model), legend }],
        },
        {
          title: 'Version in use',
          description: 'The version that answers requests which name none. Two lines for a model: its servers differ.',
          unit: 'none',
          queries: [
            { promql: `max by (model, instance) (${selected('lockstep_model_version', model)})`, legend: '{{model}} {{instance}}' },
          ],
        },
        {
          title: 'Latency by version',
          description: 'From the read of features to the encoded answer: p50 and p99.',
          unit: 's',
          queries: [0.5, 0.99].map((q) => ({
            promql: quantile(q, 'lockstep_model_request_seconds', version, model),
            legend: `${legend} p${q * 100}`,
          })),
        },
        {
          title: 'Latency by stage, p99',
          description: 'The complete request, its wait for the run, and the run. The rest is mostly the read of features.',
          unit: 's',
          queries: [
            p99('lockstep_model_request_seconds', 'request'),
            p99('lockstep_model_wait_seconds', 'wait'),
            p99('lockstep_model_run_seconds', 'run'),
          ],
        },
        {
          title: 'Reads of the online store',
          description: 'The round trip of a read of features, all models and services together. One in eight is measured.',
          unit: 's',
          queries: [0.5, 0.99].map((q) => ({
            promql: quantile(q, 'lockstep_store_seconds', ['store'], 'operation="read",store!="postgresql"'),
            legend: `{{store}} p${q * 100}`,
          })),
        },
      ],
    },
    {
      title: 'Runs',
      panels: [
        {
          title: 'Runs by version',
          description: 'Runs a second. Requests share runs where the model allows it.',
          unit: 'ops',
          queries: [{ promql: rate('lockstep_model_run_seconds_count', version, model), legend }],
        },
        {
          title: 'Rows in runs',
          description: 'Rows a second that models ran on. Rows from a cache are not among them.',
          unit: 'rowsps',
          stacked: true,
          queries: [{ promql: rate('lockstep_model_batch_rows_sum', version, model), legend }],
        },
        {
          title: 'Rows of a run',
          description: 'Mean and p95 of the size of batches.',
          unit: 'short',
          queries: [
            {
              promql: `${rate('lockstep_model_batch_rows_sum', version, model)} / ${rate('lockstep_model_batch_rows_count', version, model)}`,
              legend: `${legend} mean`,
            },
            { promql: quantile(0.95, 'lockstep_model_batch_rows', version, model), legend: `${legend} p95` },
          ],
        },
        {
          title: 'Rows from the cache',
          description: 'The share of rows that needed no run of their own: from the cache, or from the run of another request.',
          unit: 'percentunit',
          queries: [
            {
              promql: `${rate(cache, version, `result=~"hit|shared",${model}`)} / ${rate(cache, version, model)}`,
              legend,
            },
          ],
        },
        {
          title: 'Versions that do not load',
          description: '1: the version should be served, or an alias points to it, and it does not load.',
          unit: 'bool_yes_no',
          queries: [{ promql: `max by (model, version) (${selected('lockstep_model_version_failed', model)})`, legend }],
        },
        {
          title: 'Ended model processes',
          description: 'Model processes that were killed because a run took too long (timeout), or that crashed, a second.',
          unit: 'ops',
          queries: [{ promql: rate('lockstep_model_process_ends_total', [...version, 'reason'], model), legend: `${legend} {{reason}}` }],
        },
      ],
    },
    {
      title: 'Prediction log and parity',
      panels: [
        {
          title: 'Logged rows',
          description: 'Rows a second that were written to the prediction log.',
          unit: 'rowsps',
          queries: [{ promql: rate('lockstep_prediction_log_rows_total', ['instance']), legend: '{{instance}}' }],
        },
        {
          title: 'Lost rows, and rows that wait',
          description: 'Rows a second that were not logged, by reason, and rows in the buffer.',
          unit: 'short',
          queries: [
            { promql: rate('lockstep_prediction_log_dropped_total', ['reason']), legend: 'lost: {{reason}}' },
            { promql: selected('lockstep_prediction_log_waiting_rows'), legend: '{{instance}} waits' },
          ],
        },
        {
          title: 'Parity by verdict',
          description: 'Logged feature values a second that were recomputed from the history. All but "equal" differ.',
          unit: 'ops',
          queries: [{ promql: rate('lockstep_parity_values_total', ['service', 'verdict']), legend: '{{service}} {{verdict}}' }],
        },
      ],
    },
  ],
}
