import { LockstepError } from '../../kernel/errors.ts'
import { nodeNames } from '../../registry/find/entry.ts'
import { findNode } from '../../registry/find/find-entry.ts'
import type { Graph, LineageDirection, LineageNode, NodeKey } from '../../registry/find/graph.ts'
import { graphOf, lineageOf, nodeKey } from '../../registry/find/graph.ts'
import { readInventory } from '../../registry/find/inventory.ts'
import type { Command } from '../command.ts'
import { shortId } from '../human.ts'
import { plainText } from '../plain-text.ts'

export const lineageCommand: Command = {
  name: 'lineage',
  summary: 'Show what a definition is made from, and what is made from it',
  description: ['Goes from tables and streams over sources, views and services to training sets and model versions.'],
  arguments: [{ name: 'NAME', help: 'A name, with or without its version: airport_delays@1. Also a table, or the id of a training set.' }],
  options: { up: { help: 'Only what it is made from.' }, down: { help: 'Only what is made from it.' } },
  example: 'lockstep lineage airport_delays',
  async run(context, input) {
    const direction = directionOf(input.flag('up'), input.flag('down'))
    const inventory = await readInventory(await context.database())
    const graph = graphOf(inventory)
    const node = findNode(inventory, input.argument('NAME'))
    return { json: lineageOf(graph, node, direction), text: lineageText(graph, node, direction) }
  },
}

function directionOf(up: boolean, down: boolean): LineageDirection {
  if (up && down) throw new LockstepError('USAGE', 'Give --up or --down, or neither for both directions.')
  return up ? 'up' : down ? 'down' : 'both'
}

function lineageText(graph: Graph, node: LineageNode, direction: LineageDirection): string {
  const part = (title: string, none: string, links: Graph['inputs']): string[] => {
    const lines = treeOf(graph, links, nodeKey(node), '', new Set())
    return lines.length === 0 ? [none] : [title, ...lines]
  }
  return [
    nodeText(node),
    ...(direction === 'down' ? [] : ['', ...part('is made from', 'is made from nothing else', graph.inputs)]),
    ...(direction === 'up' ? [] : ['', ...part('is used by', 'is used by nothing', graph.outputs)]),
  ].join('\n')
}

/** A branch that was drawn above is not drawn again. */
function treeOf(graph: Graph, links: Graph['inputs'], at: NodeKey, indent: string, drawn: Set<NodeKey>): string[] {
  const next = links.get(at) ?? []
  return next.flatMap((key, i) => {
    const node = graph.nodes.get(key)
    if (node === undefined) return []
    const isLast = i === next.length - 1
    const isAgain = drawn.has(key) && (links.get(key) ?? []).length > 0
    const line = `${indent}${isLast ? '└─' : '├─'} ${nodeText(node)}${isAgain ? ' (see above)' : ''}`
    if (isAgain) return [line]
    drawn.add(key)
    return [line, ...treeOf(graph, links, key, `${indent}${isLast ? '   ' : '│  '}`, drawn)]
  })
}

function nodeText({ kind, name, retired }: LineageNode): string {
  const gone = !retired ? '' : kind === 'dataset' ? ' (deleted)' : ' (pruned)'
  return `${nodeNames[kind]} ${plainText(shortId(name))}${gone}`
}
