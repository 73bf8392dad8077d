import { LockstepError } from '../../../../kernel/errors.ts'

/** A shorter text cannot hold enough of anything. */
const checkedFrom = 16_384
const maxDepth = 64
/** The maximum number of members of one object. */
const maxMembers = 1000
/** Members and elements in all: 262,144, and one for every four bytes of what is longer than a megabyte. */
const maxElements = 2 ** 18
const bytesOfElement = 4

const quote = 0x22
const comma = 0x2c
const openArray = 0x5b
const backslash = 0x5c
const closeArray = 0x5d
const openObject = 0x7b
const closeObject = 0x7d

/**
 * Refuses what would cost more to parse and to check than its length says: looks at the text of a body before anything
 * is made of it.
 *
 * @throws LockstepError `INVALID_REQUEST` where arrays and objects lie too deep in each other, or there are too many
 *   members of one object, or values in all
 */
export function checkJsonShape(text: string): void {
  if (text.length < checkedFrom) return
  const most = Math.max(maxElements, text.length / bytesOfElement)
  /** By depth: the members of the object there; -1 in an array. */
  const members = new Int32Array(maxDepth + 1)
  let depth = 0
  let elements = 0
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case quote:
        at = endOfText(text, at)
        break
      case openArray:
      case openObject:
        if (++depth > maxDepth) throw refused(`arrays and objects nested ${depth} levels deep`, maxDepth)
        members[depth] = text.charCodeAt(at) === openObject ? 1 : -1
        elements++
        break
      case closeArray:
      case closeObject:
        if (depth > 0) depth--
        break
      case comma: {
        elements++
        const count = members[depth] as number
        if (count > 0) members[depth] = count + 1
        if (count >= maxMembers) throw refused(`an object of more than ${maxMembers} members`, maxMembers)
        break
      }
      default:
    }
  }
  if (elements > most) throw refused(`${elements} values`, Math.floor(most))
}

/** Where the closing quote is of a text that opens there. */
function endOfText(text: string, open: number): number {
  for (let at = text.indexOf('"', open + 1); ; at = text.indexOf('"', at + 1)) {
    if (at < 0) return text.length
    let escapes = at - 1
    while (text.charCodeAt(escapes) === backslash) escapes--
    if ((at - 1 - escapes) % 2 === 0) return at
  }
}

function refused(what: string, limit: number): LockstepError {
  return new LockstepError('INVALID_REQUEST', `The body has ${what}; the limit is ${limit}. Send less in one request.`, {
    details: { limit },
  })
}
