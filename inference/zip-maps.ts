import type { Parts } from './edit-message.ts'
import { editMessage, partsField, textField, textOf, wholeField } from './edit-message.ts'
import { protobufFields } from './protobuf-fields.ts'

/**
 * An output of a classifier that is a sequence of maps from class to probability. Exports of CatBoost always have it;
 * those of skl2onnx and onnxmltools have it by default.
 */
export interface ZipMap {
  readonly output: string
  readonly classes: readonly string[]
}

const decoder = new TextDecoder()
/** The oldest operators of ONNX that have what a file without any of ONNX's own gets. */
const leastOpset = 9

/** The maps that a file answers. */
export function zipMapsOf(bytes: Uint8Array): readonly ZipMap[] {
  const graphs = [...protobufFields(bytes)].filter(({ number }) => number === 7)
  return graphs.flatMap(({ bytes: graph }) => [...zipMapsOfGraph(graph).values()].map(({ output, classes }) => ({ output, classes })))
}

/**
 * The file with the tensor of probabilities in place of each map, float32 [N, classes]: ZipMap becomes Identity.
 *
 * @returns the same bytes if the file has no such map
 */
export function withoutZipMaps(bytes: Uint8Array): Uint8Array {
  const domains: string[] = []
  const edited = editMessage(bytes, ({ number, bytes: field }) => {
    if (number === 8) domains.push(textOf(field, 1))
    if (number !== 7) return null
    const graph = editGraph(field)
    return graph === null ? null : partsField(7, graph)
  })
  if (edited === null) return bytes
  const known = domains.some((domain) => domain === '' || domain === 'ai.onnx')
  return Buffer.concat(known ? edited : [...edited, ...partsField(8, wholeField(2, leastOpset))])
}

function editGraph(graph: Uint8Array): Parts | null {
  const maps = zipMapsOfGraph(graph)
  if (maps.size === 0) return null
  const byOutput = new Map([...maps.values()].map((map) => [map.output, map]))
  return editMessage(graph, ({ number, bytes: field, from }) => {
    const map = number === 1 ? maps.get(from) : undefined
    if (map !== undefined) {
      const identity = [...textField(1, map.input), ...textField(2, map.output), ...textField(3, map.name), ...textField(4, 'Identity')]
      return partsField(1, identity)
    }
    if (number !== 12) return null
    const output = byOutput.get(textOf(field, 1))
    return output === undefined ? null : partsField(12, tensorOf(output))
  })
}

/** ValueInfoProto of a float32 tensor [any number of rows, classes]. */
function tensorOf({ output, classes }: ZipMap): Parts {
  const shape = [...partsField(1, []), ...partsField(1, wholeField(1, classes.length))]
  const tensor = partsField(1, [...wholeField(1, 1), ...partsField(2, shape)])
  return [...textField(1, output), ...partsField(2, tensor)]
}

interface ZipMapNode extends ZipMap {
  readonly name: string
  readonly input: string
}

/** By the place of the node in the graph. Maps that are no output of the graph are left out. */
function zipMapsOfGraph(graph: Uint8Array): ReadonlyMap<number, ZipMapNode> {
  const fields = [...protobufFields(graph)]
  const outputs = new Set(fields.filter(({ number }) => number === 12).map(({ bytes }) => textOf(bytes, 1)))
  const found = fields.flatMap(({ number, bytes, from }) => {
    const node = number === 1 ? zipMapNode(bytes) : null
    return node !== null && outputs.has(node.output) ? [[from, node] as const] : []
  })
  return new Map(found)
}

function zipMapNode(node: Uint8Array): ZipMapNode | null {
  if (textOf(node, 4) !== 'ZipMap' || textOf(node, 7) !== 'ai.onnx.ml') return null
  const classes: string[] = []
  for (const { number, bytes: attribute } of protobufFields(node)) {
    if (number !== 5 || !textOf(attribute, 1).startsWith('classlabels_')) continue
    for (const { number: member, value, int32, bytes } of protobufFields(attribute)) {
      if (member === 9) classes.push(decoder.decode(bytes))
      else if (member === 8) classes.push(...(bytes.length > 0 ? packed(bytes) : [String(Number.isSafeInteger(value) ? value : int32)]))
    }
  }
  return classes.length === 0 ? null : { name: textOf(node, 3), input: textOf(node, 1), output: textOf(node, 2), classes }
}

/** The whole numbers of a packed field. */
function packed(bytes: Uint8Array): string[] {
  const values: string[] = []
  let [value, shift] = [0n, 0n]
  for (const byte of bytes) {
    value |= BigInt(byte & 0x7f) << shift
    shift += 7n
    if (byte >= 128) continue
    values.push(String(BigInt.asIntN(64, value)))
    ;[value, shift] = [0n, 0n]
  }
  return values
}
