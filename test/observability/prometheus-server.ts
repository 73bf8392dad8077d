import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Service } from '../services/keeper.ts'
import { freePort, startServer } from '../services/keeper.ts'
import { rootFolder } from '../source-files.ts'
import { prometheusProgram } from './prometheus.ts'

export interface Sample {
  readonly metric: Readonly<Record<string, string>>
  readonly value: readonly [number, string]
}

interface Group {
  readonly rules: readonly PrometheusRule[]
}

export interface PrometheusRule {
  readonly type: 'recording' | 'alerting'
  readonly name: string
  readonly query: string
  readonly health: string
  readonly lastError?: string
}

export interface Prometheus extends Service {
  /** Answers a query as of now. */
  query(promql: string): Promise<readonly Sample[]>
  rules(): Promise<readonly PrometheusRule[]>
}

/** A Prometheus with the committed rules that scrapes these addresses, by job, once a second. */
export async function startPrometheus(targets: Readonly<Record<string, string>>): Promise<Prometheus> {
  const [command, port, folder] = await Promise.all([
    prometheusProgram('prometheus'),
    freePort(),
    mkdtemp(join(tmpdir(), 'lockstep-prometheus-')),
  ])
  const scrapes = Object.entries(targets).map(([job_name, target]) => ({ job_name, static_configs: [{ targets: [target] }] }))
  const config = {
    global: { scrape_interval: '1s', evaluation_interval: '1s' },
    rule_files: [join(rootFolder, 'observability/prometheus/rules.yaml')],
    scrape_configs: scrapes,
  }
  // JSON is YAML too
  await writeFile(join(folder, 'prometheus.yml'), JSON.stringify(config))
  const url = `http://127.0.0.1:${port}`
  const service = await startServer({
    name: 'Prometheus',
    command,
    args: [
      `--config.file=${join(folder, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--log.level=error',
    ],
    folder,
    signal: 'TERM',
    user: undefined,
    url,
    async answers() {
      const response = await fetch(`${url}/-/ready`)
      await response.text()
      if (!response.ok) throw new Error(`Prometheus answers ${response.status}`)
    },
  })
  async function ask<T>(path: string, body?: Record<string, string>): Promise<T> {
    const response = await fetch(`${url}/api/v1/${path}`, body === undefined ? {} : { method: 'POST', body: new URLSearchParams(body) })
    const { status, data, error } = (await response.json()) as { readonly status: string; readonly data: T; readonly error?: string }
    if (status !== 'success') throw new Error(`${path}: ${error} (${JSON.stringify(body)})`)
    return data
  }
  return {
    ...service,
    query: async (promql) => (await ask<{ result: readonly Sample[] }>('query', { query: promql })).result,
    rules: async () => (await ask<{ groups: readonly Group[] }>('rules')).groups.flatMap(({ rules }) => rules),
  }
}
