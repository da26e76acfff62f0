// Keeps the page up to date. The server renders the HTML, and escapes what it contains. A section is not replaced but changed, so that
// slots fill and empty visibly, and a selection of text stays.

const RETRY_MS = 5_000
const connection = document.getElementById('connection')
const parser = new DOMParser()

connect()

function connect() {
  const source = new EventSource('events')
  source.addEventListener('status', ({ data }) => {
    for (const [id, html] of Object.entries(JSON.parse(data))) update(document.getElementById(id), html)
    show('live', 'Live')
  })
  source.addEventListener('error', () => {
    const time = new Date().toISOString().slice(11, 19)
    if (!connection.classList.contains('lost')) show('lost', `No connection since ${time} UTC`)
    // The browser connects again by itself, unless the server has refused.
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, RETRY_MS)
  })
}

function show(state, text) {
  connection.className = state
  if (connection.textContent !== text) connection.textContent = text
}

function update(element, html) {
  const { body } = parser.parseFromString(html, 'text/html')
  updateChildren(element, body)
}

/** Makes the children of `element` equal to those of `wanted`. Elements with the same `data-key` are kept. */
function updateChildren(element, wanted) {
  const keyed = new Map([...element.children].map((child) => [child.dataset.key, child]))
  let current = element.firstChild
  for (const child of [...wanted.childNodes]) {
    const kept = keyOf(child) === undefined ? current : keyed.get(keyOf(child))
    if (kept && isSame(kept, child)) {
      if (kept === current) current = current.nextSibling
      else element.insertBefore(kept, current)
      updateNode(kept, child)
    } else {
      element.insertBefore(child, current)
    }
  }
  while (current) {
    const next = current.nextSibling
    current.remove()
    current = next
  }
}

function updateNode(node, wanted) {
  if (node.nodeType === Node.TEXT_NODE) {
    if (node.data !== wanted.data) node.data = wanted.data
    return
  }
  for (const { name } of [...node.attributes]) if (!wanted.hasAttribute(name)) node.removeAttribute(name)
  for (const { name, value } of wanted.attributes) if (node.getAttribute(name) !== value) node.setAttribute(name, value)
  updateChildren(node, wanted)
}

function isSame(node, wanted) {
  return node.nodeType === wanted.nodeType && node.nodeName === wanted.nodeName && keyOf(node) === keyOf(wanted)
}

function keyOf(node) {
  return node.dataset?.key
}
