/**
 * A script of a page that is not the dashboard's. It tries each way that a browser has to the server, and reports it.
 *
 * @param target the origin of the server
 */
export const attack = (target: string) => `(async () => {
  const own = { 'x-lockstep-ui': '1', 'content-type': 'application/json' }
  const tries = {
    read: () => fetch('${target}/ui/api/keys', { credentials: 'include' }),
    readWithHeader: () => fetch('${target}/ui/api/keys', { credentials: 'include', headers: own }),
    simplePost: () => fetch('${target}/ui/session', { method: 'POST', mode: 'no-cors', credentials: 'include', body: '{}' }),
    untypedPost: () => fetch('${target}/ui/api/jobs/1/cancel', { method: 'POST', mode: 'no-cors', credentials: 'include', body: new Blob(['{}']) }),
    jsonPost: () => fetch('${target}/ui/api/keys', { method: 'POST', credentials: 'include', headers: own, body: '{"name":"evil","scopes":["read"],"reason":"x"}' }),
    logOut: () => fetch('${target}/ui/session', { method: 'DELETE', credentials: 'include', headers: own }),
    v1: () => fetch('${target}/v1/models', { credentials: 'include' }),
  }
  const got = {}
  for (const [name, attempt] of Object.entries(tries))
    got[name] = await attempt().then(async (answer) => answer.type === 'opaque' ? 'opaque' : answer.status + ' ' + (await answer.text()).slice(0, 200), () => 'refused')
  got.socket = await new Promise((said) => { const socket = new WebSocket('${target}/ui/api/now'.replace('http', 'ws')); socket.onopen = () => said('open'); socket.onerror = () => said('refused') })
  document.body.innerHTML = '<form method="POST" target="there" action="${target}/ui/session"><input name="code" value="x"></form><iframe name="there"></iframe><iframe id="framed" src="${target}/ui/"></iframe>'
  const framed = document.getElementById('framed')
  await new Promise((loaded) => { framed.onload = loaded })
  document.forms[0].submit()
  return got
})()`
