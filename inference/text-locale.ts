import type { Parts } from './edit-message.ts'
import { editMessage, partsField, textField, textOf, wholeField } from './edit-message.ts'

/** Every Linux with glibc 2.35 or later has it. Its upper and lower case are those of en_US. */
const presentLocale = 'C.UTF-8'
const replaceable = /^(en_US(\.UTF-?8)?)?$/i

/**
 * The file with the locale C.UTF-8 where it changes the case of texts by en_US, which is ONNX Runtime's default. Small
 * images of Linux, such as those of Node, do not have en_US, and then vectorizers of texts do not load.
 *
 * @returns the same bytes if nothing is replaced
 */
export function withPresentLocale(bytes: Uint8Array): Uint8Array {
  const edited = editMessage(bytes, ({ number, bytes: graph }) => {
    if (number !== 7) return null
    const nodes = editMessage(graph, (node) => {
      const made = node.number === 1 ? editNode(node.bytes) : null
      return made === null ? null : partsField(1, made)
    })
    return nodes === null ? null : partsField(7, nodes)
  })
  return edited === null ? bytes : Buffer.concat(edited)
}

function editNode(node: Uint8Array): Parts | null {
  if (textOf(node, 4) !== 'StringNormalizer') return null
  let stated = ''
  const others = editMessage(node, ({ number, bytes: attribute }) => {
    if (number !== 5 || textOf(attribute, 1) !== 'locale') return null
    stated = textOf(attribute, 4)
    return []
  })
  if (!replaceable.test(stated)) return null
  // 20: the type of the attribute, of which 3 is a text
  const locale = [...textField(1, 'locale'), ...textField(4, presentLocale), ...wholeField(20, 3)]
  return [...(others ?? [node]), ...partsField(5, locale)]
}
