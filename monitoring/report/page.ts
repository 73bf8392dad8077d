import { type Markup, element } from './markup.ts'

/** A part of a page, with the link to it in the table of contents. */
export interface Section {
  readonly id: string
  readonly title: string
  /** Says what the figures cover, and what they leave out. */
  readonly note: string
  readonly body: readonly Markup[]
}

const style = `
:root { color-scheme: light dark; --text: #1f2328; --muted: #59636e; --paper: #fff; --panel: #f6f8fa; --rule: #d1d9e0;
  --window: #0969da; --baseline: #afb8c1; --band: #0969da2e; --bad: #cf222e; --warn: #9a6700; --good: #1a7f37;
  --null: #8250df; --missing: #bf8700; --old: #bc4c00; --down: #cf222e; }
@media (prefers-color-scheme: dark) { :root { --text: #e6edf3; --muted: #9198a1; --paper: #0d1117; --panel: #151b23; --rule: #3d444d;
  --window: #4493f8; --baseline: #656c76; --band: #4493f840; --bad: #f85149; --warn: #d29922; --good: #3fb950;
  --null: #a371f7; --missing: #d29922; --old: #db6d28; --down: #f85149; } }
@media print { :root { color-scheme: light; --text: #000; --muted: #444; --paper: #fff; --panel: #fff; --rule: #bbb; --window: #0550ae; --baseline: #999;
  --band: #0550ae2e; --bad: #a40e26; --warn: #7d4e00; --good: #116329; --null: #6639ba; --missing: #7d4e00; --old: #953800; --down: #a40e26; }
  section, figure, tr { break-inside: avoid; } nav { display: none; } * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
body { margin: 0 auto; padding: 24px; max-width: 1080px; background: var(--paper); color: var(--text); font: 14px/1.5 system-ui, sans-serif; }
h1 { font-size: 24px; margin: 0; } h2 { font-size: 18px; margin: 36px 0 4px; } h3 { font-size: 14px; margin: 0 0 4px; overflow-wrap: anywhere; }
p { margin: 4px 0; } .muted { color: var(--muted); } nav { margin: 12px 0; display: flex; flex-wrap: wrap; gap: 4px 16px; } a { color: var(--window); }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 12px; margin: 12px 0; }
.wide { grid-template-columns: repeat(auto-fill, minmax(min(100%, 480px), 1fr)); }
figure { margin: 0; padding: 12px; background: var(--panel); border: 1px solid var(--rule); border-radius: 6px; min-width: 0; }
figure svg { display: block; width: 100%; height: auto; } svg.square { max-width: 240px; margin: 0 auto; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; margin: 12px 0; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 4px 10px 4px 0; border-bottom: 1px solid var(--rule); vertical-align: top; } th { color: var(--muted); font-weight: 600; }
td.number, th.number { text-align: right; } .bad { color: var(--bad); font-weight: 600; } .warn { color: var(--warn); font-weight: 600; } .good { color: var(--good); font-weight: 600; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 16px; color: var(--muted); } .legend i { display: inline-block; width: 10px; height: 10px; margin-right: 6px; }
svg text { fill: var(--muted); font: 11px system-ui, sans-serif; } .axis, .grid { stroke: var(--rule); } .frame { fill: none; stroke: var(--rule); }
rect.window { fill: var(--window); } rect.baseline { fill: var(--baseline); } .band { fill: var(--band); } .whisker { fill: none; stroke: var(--window); } .line { fill: none; stroke: var(--window); stroke-width: 1.8; }
.dot { fill: var(--window); } .diagonal { fill: none; stroke: var(--muted); stroke-dasharray: 4 4; }
.empty { fill: var(--rule); opacity: .5; } .null-value { fill: var(--null); background: var(--null); } .not-found { fill: var(--missing); background: var(--missing); }
.outside-max-age { fill: var(--old); background: var(--old); } .unavailable { fill: var(--down); background: var(--down); }
i.window { background: var(--window); } i.baseline { background: var(--baseline); }`

/** One HTML document that loads nothing from anywhere: no script, no font, no image. */
export function page(title: string, subtitle: readonly string[], sections: readonly Section[]): string {
  const body = element(
    'body',
    {},
    element('h1', {}, title),
    ...subtitle.map((line) => element('p', { class: 'muted' }, line)),
    element('nav', {}, ...sections.map(({ id, title: name }) => element('a', { href: `#${id}` }, name))),
    ...sections.map(({ id, title: name, note, body: parts }) =>
      element('section', { id }, element('h2', {}, name), element('p', { class: 'muted' }, note), ...parts),
    ),
  )
  const policy = "default-src 'none'; style-src 'unsafe-inline'"
  return [
    '<!doctype html>',
    '<html lang="en">',
    `<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><meta http-equiv="Content-Security-Policy" content="${policy}">`,
    `${element('title', {}, title).markup}<style>${style}</style></head>`,
    body.markup,
    '</html>',
    '',
  ].join('\n')
}

/** A cell: text, or text with a class for its colour. */
export type Cell = string | number | { readonly text: string; readonly tone: 'bad' | 'warn' | 'good' | 'muted' }

/** A table whose numbers stand to the right. */
export function table(head: readonly string[], rows: readonly (readonly Cell[])[]): Markup {
  const numeric = head.map((_, column) => rows.length > 0 && rows.every((row) => typeof row[column] === 'number'))
  const cell = (tag: string, content: Cell, column: number): Markup => {
    const right = numeric[column] === true ? 'number' : ''
    if (typeof content === 'object') return element(tag, { class: `${right} ${content.tone}`.trim() }, content.text)
    return element(tag, right === '' ? {} : { class: right }, typeof content === 'number' ? content.toLocaleString('en') : content)
  }
  return element(
    'div',
    { class: 'scroll' },
    element(
      'table',
      {},
      element('thead', {}, element('tr', {}, ...head.map((text, column) => cell('th', text, column)))),
      element('tbody', {}, ...rows.map((row) => element('tr', {}, ...row.map((content, column) => cell('td', content, column))))),
    ),
  )
}

/** A chart with its name and a sentence about it. */
export function figure(name: string, chart: Markup, caption: string): Markup {
  return element('figure', {}, element('h3', {}, name), chart, element('p', { class: 'muted' }, caption))
}

export function cards(figures: readonly Markup[], wide = false): Markup {
  return element('div', { class: wide ? 'cards wide' : 'cards' }, ...figures)
}

/** The meaning of the colours of charts. */
export function legend(entries: readonly { readonly name: string; readonly series: string }[]): Markup {
  return element('p', { class: 'legend' }, ...entries.map(({ name, series }) => element('span', {}, element('i', { class: series }), name)))
}
