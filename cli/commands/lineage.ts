import { LockstepError } from '../../kernel/errors.ts'
import { nodeNames } from '../../registry/find/entry.ts'
import type { Lineage, LineageDirection, LineageNode, NodeKey } from '../../registry/find/graph.ts'
import { nodeKey } from '../../registry/find/graph.ts'
import type { Command } from '../command.ts'
import { finderOf } from '../find/finder.ts'
import { count, shortId } from '../text/human.ts'
import { plainText } from '../../kernel/values/plain-text.ts'
import { serverOption } from '../remote/server-option.ts'

export const lineageCommand: Command = {
  name: 'lineage',
  summary: 'Show what a definition is made from, and what is made from it',
  description: ['Goes from tables and streams over sources, views and services to training sets and model versions.'],
  arguments: [{ name: 'NAME', help: 'A name, with or without its version: airport_delays@1. Also a table, or the id of a training set.' }],
  options: { up: { help: 'Only what it is made from.' }, down: { help: 'Only what is made from it.' }, server: serverOption },
  example: 'lockstep lineage airport_delays',
  async run(context, input) {
    const direction = directionOf(input.flag('up'), input.flag('down'))
    const lineage = await finderOf(context, input).lineage(input.argument('NAME'), direction)
    return { json: lineage, text: lineageText(lineage, direction) }
  },
}

function directionOf(up: boolean, down: boolean): LineageDirection {
  if (up && down) throw new LockstepError('USAGE', 'Give --up or --down, or neither for both directions.')
  return up ? 'up' : down ? 'down' : 'both'
}

function lineageText({ of, nodes, edges }: Lineage, direction: LineageDirection): string {
  const byKey = new Map(nodes.map((node) => [nodeKey(node), node]))
  const part = (title: string, none: string, side: 'from' | 'to'): string[] => {
    const other = side === 'from' ? 'to' : 'from'
    const links = Map.groupBy(edges, (edge) => edge[other])
    const nextOf = (key: NodeKey): LineageNode[] => (links.get(key) ?? []).flatMap((edge) => byKey.get(edge[side]) ?? [])
    const lines = treeOf(nextOf, of, '', new Set())
    return lines.length === 0 ? [none] : [title, ...lines]
  }
  return [
    nodeText(of),
    ...(direction === 'down' ? [] : ['', ...part('is made from', 'is made from nothing else', 'from')]),
    ...(direction === 'up' ? [] : ['', ...part('is used by', 'is used by nothing', 'to')]),
  ].join('\n')
}

/** How many training sets, or versions of models, are drawn of one service. */
const maxAlike = 10

/** A branch that was drawn above is not drawn again. */
function treeOf(nextOf: (key: NodeKey) => readonly LineageNode[], at: LineageNode, indent: string, drawn: Set<NodeKey>): string[] {
  const all = nextOf(nodeKey(at))
  const next = all.filter((node, i) => !isMany(node) || all.slice(0, i).filter(({ kind }) => kind === node.kind).length < maxAlike)
  const more = all.length - next.length
  const lines = next.flatMap((node, i) => {
    const isLast = i === next.length - 1 && more === 0
    const key = nodeKey(node)
    const isAgain = drawn.has(key) && nextOf(key).length > 0
    const line = `${indent}${isLast ? '└─' : '├─'} ${nodeText(node)}${isAgain ? ' (see above)' : ''}`
    if (isAgain) return [line]
    drawn.add(key)
    return [line, ...treeOf(nextOf, node, `${indent}${isLast ? '   ' : '│  '}`, drawn)]
  })
  return more === 0 ? lines : [...lines, `${indent}└─ and ${count(more)} more, which --json lists`]
}

function isMany({ kind }: LineageNode): boolean {
  return kind === 'dataset' || kind === 'modelVersion'
}

function nodeText({ kind, name, retired }: LineageNode): string {
  const gone = !retired ? '' : kind === 'dataset' ? ' (deleted)' : ' (pruned)'
  return `${nodeNames[kind]} ${plainText(shortId(name))}${gone}`
}
