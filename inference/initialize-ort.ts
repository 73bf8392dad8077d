import { openInlineSession } from './inline-session.ts'

/** An ONNX model of one Identity. */
const smallest = Buffer.from('CAg6OwoQCgF4EgF5IghJZGVudGl0eRIFZ3JhcGhaDwoBeBIKCggIARIECgIIAWIPCgF5EgoKCAgBEgQKAggBQgIQDw==', 'base64')

/** The first load in a process takes some 50 ms, whatever is loaded: to be done before there are requests. */
export async function initializeOrt(): Promise<void> {
  const session = await openInlineSession(smallest, 'warm-up')
  await session.release()
}
