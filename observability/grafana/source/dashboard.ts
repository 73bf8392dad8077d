/** The content of a dashboard. `dashboardJson` makes Grafana's JSON of it. */
export interface Dashboard {
  /** The name of its file, and with `lockstep-` before it its id. */
  readonly name: string
  readonly title: string
  readonly description: string
  /** Besides the data source, the job and the instance. */
  readonly variables: readonly ('model' | 'view')[]
  readonly rows: readonly Row[]
}

export interface Row {
  readonly title: string
  /** From left to right; a new line begins where the next panel has no room. */
  readonly panels: readonly Panel[]
}

export interface Panel {
  /** `lines` over time, a `number` that is true now, or a `table` of what is true now. Default: lines. */
  readonly shows?: 'lines' | 'number' | 'table'
  readonly title: string
  readonly description: string
  /**
   * As Grafana calls it: https://github.com/grafana/grafana/blob/main/packages/grafana-data/src/valueFormats/categories.ts
   */
  readonly unit: Unit
  readonly queries: readonly Query[]
  /** Of 24. Default: 4 for a number, else 8. */
  readonly width?: number
  /** From these values on, numbers are orange and red. */
  readonly limits?: { readonly warn: number; readonly bad: number }
  /** The lines lie on each other, so that the top is their sum. */
  readonly stacked?: boolean
}

export type Unit = 'short' | 's' | 'percentunit' | 'reqps' | 'rowsps' | 'ops' | 'bytes' | 'bool_yes_no' | 'none' | 'dateTimeAsIso'

export interface Query {
  readonly promql: string
  /** The name of a line: `{{label}}` stands for the value of a label. */
  readonly legend: string
}

/** Labels of each query on metrics of a process, chosen at the top of a dashboard. */
const processes = 'job=~"$job",instance=~"$instance"'

/** The increase of a counter per second, by these labels. */
export function rate(metric: string, by: readonly string[], labels = ''): string {
  return `sum${by.length === 0 ? '' : ` by (${by.join(', ')})`} (rate(${selected(metric, labels)}[$__rate_interval]))`
}

/** A quantile of a histogram over the last scrapes, by these labels. */
export function quantile(q: number, metric: string, by: readonly string[], labels = ''): string {
  return `histogram_quantile(${q}, ${rate(`${metric}_bucket`, [...by, 'le'], labels)})`
}

/** A metric of the chosen processes. */
export function selected(metric: string, labels = ''): string {
  return `${metric}{${processes}${labels === '' ? '' : `,${labels}`}}`
}

const widthOf = ({ shows, width }: Panel): number => width ?? (shows === 'number' ? 4 : 8)
const heightOf = ({ shows }: Panel): number => (shows === 'number' ? 4 : 8)
const columns = 24

/** The places of the panels of a row that begins at `top`, and where the next row begins. */
function placed(panels: readonly Panel[], top: number): { readonly places: readonly GridPlace[]; readonly bottom: number } {
  const places: GridPlace[] = []
  let [x, y, lineHeight] = [0, top, 0]
  for (const panel of panels) {
    const [w, h] = [widthOf(panel), heightOf(panel)]
    if (x + w > columns) [x, y, lineHeight] = [0, y + lineHeight, 0]
    places.push({ x, y, w, h })
    x += w
    lineHeight = Math.max(lineHeight, h)
  }
  return { places, bottom: y + lineHeight }
}

interface GridPlace {
  readonly x: number
  readonly y: number
  readonly w: number
  readonly h: number
}

const datasource = { type: 'prometheus', uid: '${datasource}' }

/** The dashboard as Grafana imports it, from version 10 on. */
export function dashboardJson(dashboard: Dashboard): object {
  const panels: object[] = []
  let top = 0
  for (const { title, panels: inRow } of dashboard.rows) {
    panels.push({ id: panels.length + 1, type: 'row', title, collapsed: false, gridPos: { x: 0, y: top, w: columns, h: 1 }, panels: [] })
    const { places, bottom } = placed(inRow, top + 1)
    for (const [p, panel] of inRow.entries()) panels.push(panelJson(panel, panels.length + 1, places[p]))
    top = bottom
  }
  return {
    uid: `lockstep-${dashboard.name}`,
    title: dashboard.title,
    description: dashboard.description,
    tags: ['lockstep'],
    timezone: 'utc',
    editable: true,
    graphTooltip: 1,
    time: { from: 'now-3h', to: 'now' },
    refresh: '30s',
    schemaVersion: 39,
    version: 1,
    panels,
    templating: { list: variablesJson(dashboard) },
    annotations: { list: [] },
    links: [
      {
        title: 'Lockstep',
        type: 'dashboards',
        icon: 'external link',
        tooltip: 'The other dashboards of Lockstep',
        tags: ['lockstep'],
        asDropdown: true,
        targetBlank: false,
        includeVars: true,
        keepTime: true,
      },
    ],
  }
}

function panelJson(panel: Panel, id: number, gridPos: GridPlace | undefined): object {
  const { shows = 'lines', title, description, unit } = panel
  const type = { lines: 'timeseries', number: 'stat', table: 'table' }[shows]
  const targets = panel.queries.map(({ promql, legend }, q) => ({
    refId: String.fromCharCode('A'.charCodeAt(0) + q),
    datasource,
    expr: promql,
    legendFormat: legend,
    editorMode: 'code',
    ...(shows === 'lines' ? { range: true } : { instant: true, range: false }),
    ...(shows === 'table' ? { format: 'table' } : {}),
  }))
  return { id, type, title, description, datasource, gridPos, targets, fieldConfig: fieldsJson(panel, unit), options: optionsJson(panel) }
}

function fieldsJson({ shows = 'lines', limits, stacked = false }: Panel, unit: Unit): object {
  const steps = [
    { value: null, color: 'green' },
    ...(limits === undefined
      ? []
      : [
          { value: limits.warn, color: 'orange' },
          { value: limits.bad, color: 'red' },
        ]),
  ]
  const lines = {
    drawStyle: 'line',
    lineWidth: 1,
    fillOpacity: stacked ? 30 : 5,
    showPoints: 'never',
    stacking: { mode: stacked ? 'normal' : 'none', group: 'A' },
    thresholdsStyle: { mode: limits === undefined ? 'off' : 'line' },
  }
  return {
    defaults: {
      unit,
      ...(shows === 'lines' ? { min: 0, custom: lines } : {}),
      color: { mode: shows === 'lines' ? 'palette-classic' : 'thresholds' },
      thresholds: { mode: 'absolute', steps },
    },
    overrides: [],
  }
}

function optionsJson({ shows = 'lines' }: Panel): object {
  if (shows === 'table') return { frameIndex: 0, showHeader: true, cellHeight: 'sm' }
  if (shows === 'lines')
    return {
      legend: { displayMode: 'list', placement: 'bottom', showLegend: true, calcs: [] },
      tooltip: { mode: 'multi', sort: 'desc' },
    }
  return {
    reduceOptions: { values: false, calcs: ['lastNotNull'], fields: '' },
    orientation: 'auto',
    textMode: 'auto',
    colorMode: 'value',
    graphMode: 'none',
    justifyMode: 'auto',
    wideLayout: true,
    showPercentChange: false,
    percentChangeColorMode: 'standard',
  }
}

function variablesJson({ variables }: Dashboard): object[] {
  const ofLabel = (name: string, label: string, metric: string): object => ({
    type: 'query',
    name,
    label,
    datasource,
    query: { query: `label_values(${metric}, ${name})`, refId: name },
    refresh: 2,
    sort: 1,
    multi: true,
    includeAll: true,
    allValue: '.*',
    current: { text: 'All', value: '$__all' },
  })
  return [
    { type: 'datasource', name: 'datasource', label: 'Data source', query: 'prometheus', refresh: 1, multi: false, includeAll: false },
    ofLabel('job', 'Job', 'lockstep_build_info'),
    ofLabel('instance', 'Instance', 'lockstep_build_info{job=~"$job"}'),
    ...(variables.includes('model') ? [ofLabel('model', 'Model', selected('lockstep_model_version'))] : []),
    ...(variables.includes('view') ? [ofLabel('view', 'View', selected('lockstep_online_view_materialized'))] : []),
  ]
}
