import type { Column, KeyType } from '../../kernel/values/value-type.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { ViewUse } from '../../kernel/service-plan.ts'
import { sourceKey } from './source-stream.ts'

/** Views that one pass over one source serves: the same relation, read under the same key columns. */
export interface StreamGroup {
  readonly plans: readonly ViewPlan[]
}

/**
 * The columns of a spine under which some views are looked up, and these views: by slot of `Pass.streams` and of that
 * stream's plans.
 */
export interface Mapping {
  readonly columns: readonly string[]
  readonly asked: readonly AskedView[]
}
export interface AskedView {
  /** By index of the uses that were given. */
  readonly use: number
  readonly stream: number
  readonly plan: number
}

/** Streams that must be merged with the same lookups, in one ordered pass over the spine. */
export interface Pass {
  /** Types of the key; all mappings and streams of a pass share them. */
  readonly key: readonly Column<KeyType>[]
  readonly mappings: readonly Mapping[]
  readonly streams: readonly StreamGroup[]
}

/** The identity of a stream: two plans with the same text read the same rows in the same order. */
export function streamId(plan: ViewPlan): string {
  return JSON.stringify([plan.spec.source, sourceKey(plan)])
}

/**
 * Plans the passes for `uses`, so that each source is read once for each of its keys, for any number of views and
 * aliases: the connected components of the graph that joins key mappings with streams.
 */
export function planPasses(uses: readonly ViewUse[]): Pass[] {
  const components: Component[] = []
  for (const [index, use] of uses.entries()) {
    const types = use.plan.key.map((part) => part.type.kind)
    const mapping = JSON.stringify([use.key, types])
    const stream = streamId(use.plan)
    const touching = components.filter((c) => c.mappings.has(mapping) || c.streams.has(stream))
    const component: Component = touching[0] ?? { mappings: new Map(), streams: new Map() }
    for (const other of touching.slice(1)) {
      for (const [id, list] of other.mappings) component.mappings.set(id, list)
      for (const [id, list] of other.streams) component.streams.set(id, list)
      components.splice(components.indexOf(other), 1)
    }
    if (touching.length === 0) components.push(component)
    append(component.mappings, mapping, index)
    append(component.streams, stream, index)
  }
  return components.map((component) => passOf(component, uses))
}

interface Component {
  readonly mappings: Map<string, number[]>
  readonly streams: Map<string, number[]>
}

function passOf(component: Component, uses: readonly ViewUse[]): Pass {
  const useOf = (index: number): ViewUse => uses[index] as ViewUse
  const streams = [...component.streams.values()].map((indexes) => {
    const plans = new Map(indexes.map((i) => [useOf(i).plan.id, useOf(i).plan]))
    return { ids: [...plans.keys()], uses: new Set(indexes), plans: [...plans.values()] }
  })
  const mappings = [...component.mappings.values()].map((indexes) => ({
    columns: useOf(indexes[0] as number).key,
    asked: indexes.map((use) => {
      const stream = streams.findIndex((s) => s.uses.has(use))
      return { use, stream, plan: streams[stream]?.ids.indexOf(useOf(use).plan.id) ?? -1 }
    }),
  }))
  const key = useOf(mappings[0]?.asked[0]?.use as number).plan.key
  return { key, mappings, streams: streams.map(({ plans }) => ({ plans })) }
}

function append(map: Map<string, number[]>, id: string, index: number): void {
  const list = map.get(id)
  if (list === undefined) map.set(id, [index])
  else list.push(index)
}
