// Sends what a form of the page holds and shows the answer beneath it.
for (const form of document.querySelectorAll('form[data-method]')) {
  form.addEventListener('submit', async (event) => {
    event.preventDefault()
    const { method, path } = form.dataset
    const shown = form.querySelector('output')
    const headers = keyHeaders()
    const body = form.querySelector('textarea')
    if (body !== null) headers['content-type'] = 'application/json'
    const query = new URLSearchParams()
    let url = path
    for (const input of form.querySelectorAll('input')) {
      if (input.dataset.in === 'path') url = url.replace(`{${input.name}}`, encodeURIComponent(input.value))
      else if (input.value !== '') query.set(input.name, input.value)
    }
    if (query.size > 0) url += `?${query}`
    const said = document.createElement('pre')
    shown.replaceChildren(said)
    said.textContent = '…'
    const start = performance.now()
    try {
      const response = await fetch(url, { method, headers, ...(body === null ? {} : { body: body.value }) })
      const text = await response.text()
      const ms = Math.round(performance.now() - start)
      said.textContent = `${response.status} ${response.statusText}, ${ms} ms\n\n${pretty(text)}`
    } catch (error) {
      said.textContent = `No answer: ${error.message}`
    }
  })
}

function keyHeaders() {
  const key = document.querySelector('#key').value
  return key === '' ? {} : { authorization: `Bearer ${key}` }
}

// A server with keys gives the examples of its registry only to a key. What was edited stays.
document.querySelector('#key').addEventListener('change', async () => {
  const response = await fetch('/docs', { headers: keyHeaders() }).catch(() => null)
  if (response?.ok !== true) return
  const page = new DOMParser().parseFromString(await response.text(), 'text/html')
  const fields = 'form textarea, form input'
  for (const section of document.querySelectorAll('details')) {
    const given = page.getElementById(section.id)?.querySelectorAll(fields) ?? []
    for (const [i, field] of section.querySelectorAll(fields).entries()) {
      if (given[i] === undefined || field.value !== field.defaultValue) continue
      field.value = field.defaultValue = given[i].defaultValue
      if ('rows' in field) field.rows = given[i].rows
    }
  }
})

// As it is where it is no JSON, or holds integers that this browser would round.
function pretty(text) {
  if (/\d{16}/.test(text)) return text
  try {
    return JSON.stringify(JSON.parse(text), null, 2)
  } catch {
    return text
  }
}

function open() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)))
  if (target !== null && 'open' in target) target.open = true
}
addEventListener('hashchange', open)
open()
