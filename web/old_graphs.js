/**
 * Offers to open graphs of AnimateDiff-Evolved with this pack's nodes where that pack is missing. Nothing changes where it is
 * installed, where the artist says no, or where the setting is off.
 */
import { app } from '../../scripts/app.js'
import { api } from '../../scripts/api.js'

const SETTING = 'VideoLDM.OldGraphs'
const OLD = /^(ADE_|AnimateDiffLoaderV1$|CheckpointLoaderSimpleWithNoiseSelect$)/

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
    if (app.extensionManager.setting.get(SETTING) === false || !types(graph).some(isOld)) return
    const answer = await ask(graph)
    if (!answer.changed) return
    const yes = await app.extensionManager.dialog.confirm({
      title: 'Video LDM',
      message:
        "This graph uses AnimateDiff-Evolved, which is not installed. Open it with Video LDM's nodes? The file stays as it is."
    })
    if (!yes) return
    for (const key of Object.keys(graph)) delete graph[key]
    Object.assign(graph, answer.graph)
    const left = new Set(types(graph))
    const still = (missing ?? []).filter((entry) => left.has(entry?.type ?? entry))
    missing?.splice(0, missing.length, ...still)
  }
})
