import { openInlineSession } from './inline-session.ts'

/** An ONNX model of one Identity. */
const smallest = Buffer.from('CAg6OwoQCgF4EgF5IghJZGVudGl0eRIFZ3JhcGhaDwoBeBIKCggIARIECgIIAWIPCgF5EgoKCAgBEgQKAggBQgIQDw==', 'base64')

/**
 * Loads a tiny model. The first load in a process takes about 50 ms for any model, so a server does it before it
 * accepts requests.
 */
export async function initializeOrt(): Promise<void> {
  const session = await openInlineSession(smallest, 'warm-up')
  await session.release()
}
