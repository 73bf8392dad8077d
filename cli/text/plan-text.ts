import { styleText } from 'node:util'
import { cutText } from '../../kernel/values/cut-text.ts'
import type { Change, PlanJson, ChangeStatus } from '../../registry/changes/change-plan.ts'
import { definitionKey, displayName, kindNames } from '../../registry/definition.ts'
import type { DefinitionKey } from '../../registry/definition.ts'
import type { DefinitionDifference } from '../../registry/changes/diff.ts'
import { widthOf } from '../progress.ts'
import { bytes, count, counted, duration } from './human.ts'
import { keptText, marks, planDetails } from './plan-details.ts'

export interface PlanTextOptions {
  /** Everything, field by field. */
  readonly verbose?: boolean
  /** The width of the terminal, which no line exceeds; absent: lines are as long as they are. */
  readonly width?: number | undefined
  readonly colors?: boolean
  /** Where the transforms of changed definitions are written: `features.ts:12-15`. */
  readonly transforms?: ReadonlyMap<DefinitionKey, string>
}

/** The abilities of standard output: colors only on a terminal, and not if NO_COLOR is set. */
export function screenOptions(): Pick<PlanTextOptions, 'width' | 'colors'> {
  const { stdout } = process
  return { width: stdout.isTTY ? widthOf(stdout) : undefined, colors: stdout.isTTY && stdout.hasColors() }
}

/** The maximum number of lines of each kind, unless all is asked for. */
const maxLines = 12
const maxNotes = 4
const indent = '  '

type Paint = 'green' | 'yellow' | 'red' | 'dim' | 'bold'

const paints: Readonly<Partial<Record<string, Paint>>> = { '+': 'green', '~': 'yellow', '-': 'red', '!': 'red' }

/**
 * A plan as a person reads it in ten seconds: what changes, a line for each definition, what that costs and what
 * breaks.
 */
export function planText(plan: PlanJson, options: PlanTextOptions = {}): string {
  if (options.verbose === true) return planDetails(plan)
  return [changeLines, costLines, breakLines, noteLines, problemLines]
    .map((lines) => lines(plan, options).join('\n'))
    .filter((block) => block !== '')
    .join('\n\n')
}

interface Line {
  readonly mark: string
  readonly name: string
  readonly text: string
}

/** The changes: a line for each definition and table. */
export function changeLines(plan: Pick<PlanJson, 'changes' | 'tables'>, options: PlanTextOptions): string[] {
  const moving = plan.changes.filter(({ status }) => status !== 'unchanged' && status !== 'absent')
  const blocks = [...Map.groupBy(moving, ({ status, kind }) => `${status} ${kind}`).values()].map((changes): (Line | string)[] => {
    const [first] = changes
    if (first === undefined) return []
    const shown = changes.length > maxLines && first.status === 'added' ? [] : changes.slice(0, maxLines)
    const lines: (Line | string)[] = shown.map((change) => ({
      mark: marks[change.status],
      name: `${kindNames[change.kind]} ${change.label}`,
      text: essence(change, options.transforms?.get(definitionKey(change))),
    }))
    const more = changes.length - shown.length
    if (shown.length === 0) lines.push(...nameLines(first, changes, options.width))
    else if (more > 0) lines.push(`${indent}${marks[first.status]} ${counted(more, `more ${kindNames[first.kind]}`)}`)
    return lines
  })
  const tables = plan.tables.map(({ kind, relation, columns, indexes }): Line => {
    if (kind === 'create') return { mark: '+', name: `table ${relation}`, text: counted(columns.length, 'column') }
    const gains = [...columns, ...(indexes.length === 0 ? [] : [counted(indexes.length, 'index', 'indexes')])]
    return { mark: '~', name: `table ${relation}`, text: `gains ${gains.join(', ')}` }
  })
  return aligned([...blocks.flat(), ...tables], options)
}

/** Many new definitions of a kind: their names, in a few lines. */
function nameLines({ kind, status }: Change, changes: readonly Change[], width = 100): string[] {
  const lines: string[] = []
  let onLines = 0
  let line = `${indent}${marks[status]} ${counted(changes.length, kindNames[kind])}: `
  for (const [i, { label }] of changes.entries()) {
    const word = `${label}${i + 1 < changes.length ? ', ' : ''}`
    if (line.length + word.trimEnd().length > width) {
      if (lines.length === 3) return [...lines, `${indent}${indent}… and ${count(changes.length - onLines)} more`]
      lines.push(line.trimEnd())
      onLines = i
      line = `${indent}${indent}`
    }
    line += word
  }
  return [...lines, line.trimEnd()]
}

function aligned(lines: readonly (Line | string)[], options: PlanTextOptions): string[] {
  const names = lines.flatMap((line) => (typeof line === 'string' ? [] : [line.name.length]))
  const column = Math.min(Math.max(...names, 0), 44)
  return lines.map((line) => {
    if (typeof line === 'string') return painted(line, line.trimStart().slice(0, 1), options)
    const plain = `${indent}${line.mark} ${line.name.padEnd(column)}  ${line.text}`.trimEnd()
    return painted(cut(plain, options), line.mark, options)
  })
}

/** Colors the mark at the beginning of a line. */
function painted(line: string, mark: string, options: PlanTextOptions): string {
  const paint = paints[mark]
  return paint === undefined ? line : line.replace(mark, (found) => style(paint, found, options))
}

/** The text in a color, if the screen has colors. */
export function style(paint: Paint, text: string, { colors = false }: PlanTextOptions): string {
  return colors ? styleText(paint, text, { validateStream: false }) : text
}

function cut(line: string, { width }: PlanTextOptions): string {
  return width === undefined ? line : cutText(line, width)
}

function essence({ status, summary, differences }: Change, transform: string | undefined): string {
  if (status === 'added' || status === 'removed') return summary
  if (differences.length === 0) return status === 'revived' ? 'was retired, and is the same again' : summary
  return differences.map((difference) => short(difference, transform)).join('; ')
}

/** The longest value that is shown beside its old one. */
const maxValue = 40

/** `spent24h.window 24h → 48h`, `+ paid2h`, `transform changed: features.ts:12-15`, `uses spending@1` */
function short({ path, was, now }: DefinitionDifference, transform: string | undefined): string {
  if (path === 'transform') return transform === undefined ? 'transform changed' : `transform changed: ${transform}`
  const used = /^its \S+ (.+)$/.exec(path)?.[1]
  if (used !== undefined) return `uses ${used}`
  const name = path.replace(/^(features|members)\./, '').replace(/^([^.]+)\.features\./, '$1.')
  if (was === null) return now !== null && now.length <= maxValue && name === path ? `+ ${name} ${now}` : `+ ${name}`
  if (now === null) return `- ${name}`
  return was.length > maxValue || now.length > maxValue ? `${name} changed` : `${name} ${was} → ${now}`
}

function costLines({ backfills, states, tables }: PlanJson, options: PlanTextOptions): string[] {
  const lines: Line[] = tables.flatMap(({ relation, rewrites }) =>
    rewrites === null || rewrites.rows === 0
      ? []
      : [{ mark: '>', name: `rewrite ${relation}`, text: `${rowsText(rewrites)}; locked for about ${roughly(rewrites.seconds)}` }],
  )
  const sizes = new Map(states.map((state) => [state.view, state.bytes - state.pending.most * state.pending.each.bytes]))
  const line = (name: string, group: typeof backfills): Line => {
    const sum = (of: 'rows' | 'bytes' | 'seconds'): number => group.reduce((total, each) => total + each[of], 0)
    const size = Math.max(...group.map(({ view }) => sizes.get(view) ?? 0))
    const facts = { rows: sum('rows'), bytes: sum('bytes'), exact: group.every(({ exact }) => exact) }
    if (facts.rows === 0) return { mark: '>', name, text: 'no rows yet' }
    const each = size === 0 ? '' : `; online at most ${bytes(size)} for each entity`
    return { mark: '>', name, text: `${rowsText(facts)}, about ${roughly(sum('seconds'))}${each}` }
  }
  const verb = (group: typeof backfills): string => (group[0]?.reason === 'its table records arrivals' ? 'rebuild' : 'materialize')
  if (backfills.length <= maxLines / 2) lines.push(...backfills.map((each) => line(`${verb([each])} ${each.view}`, [each])))
  else
    for (const group of Map.groupBy(backfills, (each) => verb([each])).values())
      lines.push(line(`${verb(group)} ${counted(group.length, 'view')}`, group))
  return lines.length === 0 ? [] : [style('bold', 'Costs', options), ...aligned(lines, options)]
}

/** `2 s`, `3 min 20 s`: an estimate has no tenths. */
function roughly(seconds: number): string {
  return seconds < 60 ? `${Math.max(1, Math.round(seconds))} s` : duration(seconds * 1000)
}

function rowsText({ rows, exact, bytes: size }: { readonly rows: number; readonly exact: boolean; readonly bytes: number }): string {
  return `${exact ? '' : 'about '}${counted(rows, 'row')} (${bytes(Math.round(size))})`
}

/** The definitions that a change or removal breaks. A conflict breaks nothing, because it is refused. */
function breakLines({ changes, breaks, kept }: PlanJson, options: PlanTextOptions): string[] {
  const refused = new Set(changes.flatMap((change) => (change.status === 'conflict' ? [displayName(change)] : [])))
  const broken = breaks.filter(({ cause }) => !refused.has(cause)).map(({ cause, broken: what }) => `${indent}! ${what}: ${cause}`)
  const held = kept.map((each) => `${indent}= kept: ${keptText(each)}`)
  return [
    ...(broken.length === 0
      ? []
      : [style('bold', 'Breaks', options), ...few(broken, maxLines).map((line) => painted(cut(line, options), '!', options))]),
    ...few(held, maxLines).map((line) => cut(line, options)),
  ]
}

function noteLines({ notes }: PlanJson, options: PlanTextOptions): string[] {
  const hint = ' --verbose'
  const { width = Number.POSITIVE_INFINITY } = options
  return few(
    notes.map((note) => {
      const line = `${indent}note: ${note}`
      return line.length <= width ? line : `${cutText(line, width - hint.length)}${hint}`
    }),
    maxNotes,
  ).map((line) => style('dim', line, options))
}

/** The problems that no line of a change shows. */
function problemLines({ problems }: PlanJson, options: PlanTextOptions): string[] {
  const lines = problems.filter(({ code }) => code !== 'VERSION_CHANGED').map(({ code, message }) => `${indent}problem ${code}: ${message}`)
  return few(lines, maxLines / 2).map((line) => line.replace(/problem \S+:/, (found) => style('red', found, options)))
}

function few(lines: readonly string[], most: number): string[] {
  return lines.length <= most
    ? [...lines]
    : [...lines.slice(0, most), `${indent}… and ${count(lines.length - most)} more: --verbose shows them`]
}

const words: Readonly<Partial<Record<ChangeStatus, string>>> = {
  conflict: 'changed without a new version',
  absent: 'in the registry only',
}

/** `6 added, 1 changed, 3 unchanged` */
export function changeCounts(plan: Pick<PlanJson, 'changes'>): string {
  return (Object.keys(marks) as ChangeStatus[])
    .flatMap((status) => {
      const number = plan.changes.filter((change) => change.status === status).length
      return number === 0 ? [] : [`${count(number)} ${words[status] ?? status}`]
    })
    .join(', ')
}

/** Whether `apply` would write anything. */
export function changesAnything({ changes, tables }: PlanJson): boolean {
  return tables.length > 0 || changes.some(({ status }) => status !== 'unchanged' && status !== 'absent')
}

/**
 * The command that materializes what an applied plan needs: these views, or all if they are many; null if nothing
 * waits.
 *
 * @param onlyRebuilds without new views, which workers fill
 */
export function materializeNext({ backfills }: PlanJson, { onlyRebuilds = false } = {}): string | null {
  const [again, fresh] = [true, false].map((isRebuild) =>
    backfills.filter(({ reason, rows, exact }) => (reason === 'its table records arrivals') === isRebuild && (rows > 0 || !exact)),
  )
  const command = (views: typeof backfills, option: string): string =>
    `lockstep materialize${views.length > 3 ? '' : views.map(({ view }) => ` ${view}`).join('')}${option}`
  const commands = [
    ...(fresh === undefined || fresh.length === 0 || onlyRebuilds ? [] : [command(fresh, '')]),
    ...(again === undefined || again.length === 0 ? [] : [command(again, ' --rebuild')]),
  ]
  return commands.length === 0 ? null : commands.join(', and ')
}
