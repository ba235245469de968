/**
 * How nodes of the pack look on the canvas: inputs that most leave as they are wait behind "Show Advanced" in the node's menu,
 * and links of the pack's own kinds have a colour. A graph in which such an input is set or linked shows them.
 */
import { app } from '../../scripts/app.js'
import { addScrubber, alsoOn } from './scrub.js'

const COLOURS = { VLDM_UPSCALER: '#c86bd6', VLDM_MOTION_PROMPT: '#e0a03c' }

// Nodes that show a moving clip, for which the page makes no room by itself.
const SHOWS_A_CLIP = ['VLDM_PreviewClip', 'VLDM_TemporalVAEDecode', 'VLDM_VideoUpscale']
const CLIP_ROOM = 300
const WORDS = '$$node-text-preview' // the page's widget for what a node says
const LETTER = 7, LINE = 16, EDGES = 42 // pixels

const GAP = 4 // between two rows; a hidden row takes no place when its height takes that back

const isOurs = node => String(node.comfyClass ?? node.type).startsWith('VLDM_')
const isRare = widget => Boolean(widget.options?.advanced)

function defaultOf(node, widget) {
  const given = node.constructor?.nodeData?.input ?? {}
  const [kind, options] = given.required?.[widget.name] ?? given.optional?.[widget.name] ?? []
  return options?.default ?? (Array.isArray(kind) ? kind : options?.options)?.[0]
}

function isSet(node, widget) {
  const linked = node.inputs?.some(slot => slot.widget?.name === widget.name && slot.link != null)
  return linked || widget.value !== defaultOf(node, widget)
}

// The page gives what a node says as much height as its picture. Here it gets its lines.
function keepShort(node) {
  const words = node.widgets.find(widget => widget.name === WORDS)
  if (!words?.options) return
  const rows = line => Math.max(1, Math.ceil((line.length * LETTER) / (node.size[0] - EDGES)))
  words.options.getMaxHeight = () => EDGES + LINE * String(words.value).split('\n').map(rows).reduce((a, b) => a + b)
}

// A palette that the page loads, at its start or later, takes the colour of every kind it does not know.
function paint() {
  for (const [kind, colour] of Object.entries(COLOURS)) {
    for (const table of [app.canvas?.default_connection_color_byType, window.LGraphCanvas?.link_type_colors])
      if (table) table[kind] = colour
    document.documentElement.style.setProperty(`--color-datatype-${kind}`, colour)
  }
}

app.registerExtension({
  name: 'videoldm.Faces',
  setup: paint,
  nodeCreated(node) {
    paint()
    const rare = isOurs(node) ? (node.widgets ?? []).filter(isRare) : []
    const room = SHOWS_A_CLIP.includes(node.comfyClass) ? CLIP_ROOM : 0
    if (!rare.length && !room) return
    if (room) {
      addScrubber(node)
      alsoOn(node, 'onExecuted', () => keepShort(node))
    }
    for (const widget of rare) {
      widget.advanced = true
      if (!widget.computeLayoutSize) widget.computeSize = width => [width, node.showAdvanced ? LiteGraph.NODE_WIDGET_HEIGHT : -GAP]
    }
    node.setSize([Math.max(node.size[0], room), node.computeSize()[1] + room])
  },
  loadedGraphNode(node) {
    if (isOurs(node) && node.widgets?.some(widget => isRare(widget) && isSet(node, widget))) node.showAdvanced = true
  }
})
