import type { OutgoingHttpHeaders } from 'node:http'
import { request as httpRequest } from 'node:http'
import { text } from 'node:stream/consumers'

/**
 * Sends headers as they are: `fetch` replaces `Host` and joins two headers of one name.
 *
 * @param body absent: a GET
 */
export async function sendHeaders(url: string, headers: OutgoingHttpHeaders, body?: string): Promise<{ status: number; text: string }> {
  return await new Promise((resolve, reject) => {
    const request = httpRequest(url, { method: body === undefined ? 'GET' : 'POST', headers }, (response) => {
      text(response).then((answer) => resolve({ status: response.statusCode ?? 0, text: answer }), reject)
    })
    request.once('error', reject).end(body)
  })
}
