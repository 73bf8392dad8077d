import type { Dashboard } from './dashboard.ts'
import { quantile, rate, selected } from './dashboard.ts'

const requests = 'lockstep_http_request_seconds'
const answers = 'route=~"/v1/(features|predict)"'
/** Probes and scrapes are no requests of users: a server or model that is not ready answers probes with 503. */
const ofUsers = 'route!~"/(livez|readyz|health|metrics|v2/health/.+|v2/models/.+/ready|grpc.health.+|inference.+(Live|Ready))"'
const errorShare = `(${rate(`${requests}_count`, [], `${ofUsers},status=~"5.."`)} or vector(0)) / ${rate(`${requests}_count`, [], ofUsers)}`

export const overview: Dashboard = {
  name: 'overview',
  title: 'Lockstep: overview',
  description: 'Traffic, errors, latency, error budgets and the load of the processes.',
  variables: [],
  rows: [
    {
      title: 'Now',
      panels: [
        {
          shows: 'number',
          title: 'Processes',
          description: 'Servers and workers that Prometheus can scrape.',
          unit: 'short',
          queries: [{ promql: `sum(${selected('up')})`, legend: 'up' }],
        },
        {
          shows: 'number',
          title: 'Requests now',
          description: 'Requests a second, of all routes.',
          unit: 'reqps',
          queries: [{ promql: rate(`${requests}_count`, []), legend: 'requests' }],
        },
        {
          shows: 'number',
          title: 'Errors now',
          description: 'The share of requests that were answered with 5xx, without probes and scrapes.',
          unit: 'percentunit',
          limits: { warn: 0.001, bad: 0.01 },
          queries: [{ promql: errorShare, legend: 'errors' }],
        },
        {
          shows: 'number',
          title: 'Latency, p99',
          description: 'Of feature reads and predictions, at the server.',
          unit: 's',
          limits: { warn: 0.05, bad: 0.1 },
          queries: [{ promql: quantile(0.99, requests, [], answers), legend: 'p99' }],
        },
        {
          shows: 'number',
          title: 'Late views',
          description: 'Views that are further behind than their freshness, or whose scheduled run is overdue.',
          unit: 'short',
          limits: { warn: 1, bad: 1 },
          queries: [{ promql: `count(max by (view) (${selected('lockstep_view_late')}) == 1) or vector(0)`, legend: 'late' }],
        },
        {
          shows: 'number',
          title: 'Firing alerts',
          description: 'Of the rules in observability/prometheus/rules.yaml.',
          unit: 'short',
          limits: { warn: 1, bad: 1 },
          queries: [{ promql: 'count(ALERTS{alertname=~"Lockstep.+",alertstate="firing"}) or vector(0)', legend: 'firing' }],
        },
      ],
    },
    {
      title: 'Traffic',
      panels: [
        {
          title: 'Requests by route',
          description: 'Requests a second. Routes have their parameters in capitals or braces.',
          unit: 'reqps',
          stacked: true,
          queries: [{ promql: rate(`${requests}_count`, ['route']), legend: '{{route}}' }],
        },
        {
          title: 'Answers by status',
          description: 'HTTP statuses. Open Inference Protocol over gRPC is not among them.',
          unit: 'reqps',
          stacked: true,
          queries: [{ promql: rate(`${requests}_count`, ['status']), legend: '{{status}}' }],
        },
        {
          title: 'Refused requests',
          description: 'Requests that were refused before they were handled, or whose deadline passed, by error code.',
          unit: 'reqps',
          stacked: true,
          queries: [{ promql: rate('lockstep_refused_requests_total', ['code']), legend: '{{code}}' }],
        },
      ],
    },
    {
      title: 'Latency and error budgets',
      panels: [
        {
          title: 'Latency of feature reads and predictions',
          description: 'From the request to the answer, at the server. The objective of the rules: 99 % within 0.1 s.',
          unit: 's',
          queries: [0.5, 0.9, 0.99, 0.999].map((q) => ({ promql: quantile(q, requests, [], answers), legend: `p${q * 100}` })),
        },
        {
          title: 'Latency by route, p99',
          description: 'From the request to the answer, at the server.',
          unit: 's',
          queries: [{ promql: quantile(0.99, requests, ['route']), legend: '{{route}}' }],
        },
        {
          title: 'Share of slow answers',
          description: 'Feature reads and predictions that took over 0.1 s. Made by the recording rules, for all jobs and instances.',
          unit: 'percentunit',
          limits: { warn: 0.01, bad: 0.144 },
          queries: [
            { promql: 'lockstep:slow_ratio:rate5m', legend: '5 min' },
            { promql: 'lockstep:slow_ratio:rate1h', legend: '1 h' },
          ],
        },
        {
          title: 'Burn rate of the error budget',
          description:
            'How many times faster than allowed errors use up the budget (0.1 % in 30 days). Alerts fire at 14.4 over 1 h, 6 over 6 h and 1 over 3 d. Made by the recording rules, for all jobs and instances.',
          unit: 'none',
          limits: { warn: 6, bad: 14.4 },
          queries: ['5m', '30m', '1h', '6h', '3d'].map((window) => ({
            promql: `lockstep:error_ratio:rate${window} / 0.001`,
            legend: window,
          })),
        },
        {
          title: 'Errors over time',
          description: 'Requests that were answered with 5xx, without probes and scrapes.',
          unit: 'percentunit',
          limits: { warn: 0.001, bad: 0.01 },
          queries: [{ promql: errorShare, legend: '5xx' }],
        },
        {
          title: 'Requests in flight',
          description: 'The queue of the server, and its current limit. Near the limit, requests are refused with OVERLOADED.',
          unit: 'short',
          queries: [
            { promql: selected('lockstep_in_flight_requests'), legend: '{{instance}}' },
            { promql: selected('lockstep_in_flight_limit'), legend: '{{instance}} limit' },
          ],
        },
      ],
    },
    {
      title: 'Load of processes',
      panels: [
        {
          title: 'CPU',
          description: 'Processor seconds a second: 1 is a full core. With --workers, all server processes together.',
          unit: 'short',
          queries: [{ promql: `rate(${selected('process_cpu_seconds_total')}[$__rate_interval])`, legend: '{{job}} {{instance}}' }],
        },
        {
          title: 'Memory',
          description: 'Resident memory, and the part that the heap of V8 uses.',
          unit: 'bytes',
          queries: [
            { promql: selected('process_resident_memory_bytes'), legend: '{{instance}} resident' },
            { promql: selected('nodejs_heap_size_used_bytes'), legend: '{{instance}} heap' },
          ],
        },
        {
          title: 'Event-loop delay',
          description:
            'How long the event loop stands still: p99 and mean since the last scrape. It is never 0, because it is measured every 10 ms.',
          unit: 's',
          limits: { warn: 0.05, bad: 0.1 },
          queries: [
            { promql: selected('nodejs_eventloop_lag_p99_seconds'), legend: '{{instance}} p99' },
            { promql: selected('nodejs_eventloop_lag_mean_seconds'), legend: '{{instance}} mean' },
          ],
        },
        {
          title: 'Garbage collection',
          description: 'Seconds a second in garbage collection, by kind.',
          unit: 'percentunit',
          queries: [{ promql: rate('nodejs_gc_duration_seconds_sum', ['instance', 'kind']), legend: '{{instance}} {{kind}}' }],
        },
        {
          title: 'Restarts',
          description: 'How often a process has started within the last hour.',
          unit: 'short',
          queries: [{ promql: `changes(${selected('process_start_time_seconds')}[1h])`, legend: '{{job}} {{instance}}' }],
        },
        {
          title: 'Versions',
          description: 'Processes by the version of Lockstep that they run. Two versions are normal during an upgrade.',
          unit: 'short',
          queries: [{ promql: `count by (version) (${selected('lockstep_build_info')})`, legend: '{{version}}' }],
        },
      ],
    },
  ],
}
