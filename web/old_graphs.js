/**
 * Offers to open graphs of AnimateDiff-Evolved with this pack's nodes where that pack is missing. Nothing changes where it is
 * installed, where the artist says no, or where the setting is off.
 */
import { app } from '../../scripts/app.js'
import { api } from '../../scripts/api.js'

const SETTING = 'VideoLDM.OldGraphs'
const OPEN_FILE = 'comfy-file-input' // the page's own Open
const OLD = /^(ADE_|AnimateDiffLoaderV1$|CheckpointLoaderSimpleWithNoiseSelect$)/

const QUESTION = {
  title: 'Video LDM',
  message:
    "This graph uses AnimateDiff-Evolved, which is not installed. Open it with Video LDM's nodes? The file stays as it is."
}
const handedOn = new WeakSet() // events that have been looked at and go on to the page

function isOn() {
  return app.extensionManager.setting.get(SETTING) !== false
}

function types(graph) {
  const levels = [graph, ...(graph?.definitions?.subgraphs ?? [])]
  return levels.flatMap((level) => (level?.nodes ?? []).map((node) => node?.type ?? ''))
}

function isOld(type) {
  return OLD.test(type) && !(type in window.LiteGraph.registered_node_types)
}

async function ask(graph) {
  const response = await api.fetchApi('/video_ldm/graphs/convert', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(graph)
  })
  return response.ok ? response.json() : { changed: false }
}

/** The converted graph and its report, if there is anything to convert and the artist says yes. */
async function agreed(graph) {
  const answer = await ask(graph)
  return answer.changed && (await app.extensionManager.dialog.confirm(QUESTION)) ? answer : null
}

/** Nodes of a graph as scripts send it to the server, which may be wrapped in a request. */
function promptOf(text) {
  try {
    const data = JSON.parse(text)
    const prompt = data?.prompt ?? data
    const nodes = Object.values(prompt ?? {})
    return nodes.some((node) => isOld(node?.class_type ?? '')) ? prompt : null
  } catch {
    return null
  }
}

/** Open a file of a script's graph with our nodes; whether that was done. Graphs of the page come by beforeConfigureGraph. */
async function openedByUs(file) {
  const prompt = promptOf(await file.text())
  const answer = prompt && (await agreed(prompt))
  if (!answer) return false
  await app.loadApiJson(answer.graph, file.name.replace(/\.json$/i, ''))
  const note = window.LiteGraph.createNode('MarkdownNote')
  note.title = 'Opened with Video LDM'
  app.graph.add(note)
  note.widgets[0].value = answer.report
  const left = Math.min(0, ...app.graph.nodes.map((node) => node.pos[0]))
  note.pos = [left - 560, 0]
  note.setSize([520, 420])
  app.graph.setDirtyCanvas(true, true)
  return true
}

/** Look at a file before the page does; what is not ours goes on as it came. */
function lookFirst(event, files, again) {
  const [file] = files ?? []
  if (handedOn.has(event) || files?.length !== 1 || !/\.json$/i.test(file.name) || !isOn()) return
  event.preventDefault()
  event.stopImmediatePropagation()
  const target = event.target
  const done = openedByUs(file).catch(() => false)
  done.then((opened) => {
    const next = opened ? null : again(file)
    if (!next) return
    handedOn.add(next)
    target.dispatchEvent(next)
  })
}

window.addEventListener(
  'drop',
  (event) =>
    lookFirst(event, event.dataTransfer?.files, (file) => {
      const dataTransfer = new DataTransfer()
      dataTransfer.items.add(file)
      const { clientX, clientY } = event
      return new DragEvent('drop', { dataTransfer, clientX, clientY, bubbles: true, cancelable: true })
    }),
  true
)
window.addEventListener(
  'change',
  (event) => {
    if (event.target?.id === OPEN_FILE) lookFirst(event, event.target.files, () => new Event('change', { bubbles: true }))
  },
  true
)

app.registerExtension({
  name: 'videoldm.OldGraphs',
  settings: [
    {
      id: SETTING,
      category: ['Video LDM', 'Graphs', 'Old graphs'],
      name: 'Open graphs of AnimateDiff-Evolved with Video LDM nodes',
      tooltip: 'Here in the page after a question, and for scripts that send prompts to the server.',
      type: 'boolean',
      defaultValue: true
    }
  ],
  async beforeConfigureGraph(graph, missing) {
    if (!isOn() || !types(graph).some(isOld)) return
    const answer = await agreed(graph)
    if (!answer) return
    for (const key of Object.keys(graph)) delete graph[key]
    Object.assign(graph, answer.graph)
    const left = new Set(types(graph))
    const still = (missing ?? []).filter((entry) => left.has(entry?.type ?? entry))
    missing?.splice(0, missing.length, ...still)
  }
})
