import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { dashboardJson } from '../observability/grafana/source/dashboard.ts'
import { dashboards } from '../observability/grafana/source/dashboards.ts'

// Writes observability/grafana/*.json: `node build/make-dashboards.ts`. Run it after a change of their source. A test
// compares both.

const folder = join(import.meta.dirname, '../observability/grafana')
for (const dashboard of dashboards) {
  writeFileSync(join(folder, `${dashboard.name}.json`), `${JSON.stringify(dashboardJson(dashboard), null, 2)}\n`)
  console.log(`Wrote observability/grafana/${dashboard.name}.json.`)
}
