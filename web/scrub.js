/**
 * A row for nodes that show a moving clip: with it the clip stands still and goes by frame by frame. The picture stays the
 * page's own, only its address changes, to a still of the frame and back. Nothing is read before the row is touched, and
 * nothing of it is saved or sent.
 */
import { framesOf } from './webp.js'

const ROW = 30, MARGIN = 4
const EVERY = /_every(\d+)_/ // in the name of a file that holds only one in so many frames of a clip
const STYLES = {
  div: 'display: flex; align-items: center; gap: 8px; max-height: 22px; padding: 0 12px; color: var(--input-text); font: 12px sans-serif;',
  button: 'padding: 0; border: 0; background: none; color: inherit; cursor: pointer; width: 16px;',
  input: 'flex: 1; min-width: 0; margin: 0;',
  span: 'min-width: 3ch; text-align: right;'
}

function element(tag, values) {
  const made = Object.assign(document.createElement(tag), values)
  made.style.cssText = STYLES[tag]
  return made
}

async function read(address) {
  try {
    return await framesOf(await (await fetch(address)).blob())
  } catch {
    return null // as for a picture that does not move
  }
}

class Scrubber {
  seen = null // the node's picture: its element, the address it plays from, its frames to come, the still in its place
  number = null // of the frame it stands at; null plays

  constructor(node) {
    this.node = node
    this.button = element('button', { type: 'button' })
    this.range = element('input', { type: 'range', max: 100, value: 0, title: 'Frame' })
    this.says = element('span')
    this.row = element('div')
    this.row.append(this.button, this.range, this.says)
    this.row.addEventListener('pointerenter', () => this.look())
    this.range.addEventListener('input', () => this.stop())
    this.button.addEventListener('click', () => (this.number === null ? this.stop() : this.play()))
    this.say()
  }

  say() {
    const plays = this.number === null
    this.button.className = plays ? 'pi pi-pause' : 'pi pi-play'
    this.button.title = plays ? 'Stop at a frame' : 'Play'
    this.says.textContent = plays ? '' : this.number * Number(EVERY.exec(this.seen.address)?.[1] ?? 1)
  }

  /** The picture that is on the node now, which may be another one than before. */
  look() {
    const image = this.node.imgs?.[0]
    if (this.seen && (image !== this.seen.image || ![this.seen.address, this.seen.still].includes(image.src))) this.play()
    if (!this.seen && image?.src) this.seen = { image, address: image.src, frames: read(image.src), still: null }
    return this.seen
  }

  /** Stand still at the frame of the slider. */
  async stop() {
    const seen = this.look()
    const share = this.range.value / this.range.max
    const frames = await seen?.frames
    if (!frames || seen !== this.seen) return
    this.range.max = frames.count - 1
    this.range.value = this.number = Math.round(share * (frames.count - 1))
    this.say()
    await this.show(seen, frames)
  }

  /** One still at a time; where the slider went on meanwhile, its next stop is the last. */
  async show(seen, frames) {
    if (seen.drawing) return
    seen.drawing = true
    for (let drawn = null; seen === this.seen && drawn !== this.number; ) {
      drawn = this.number
      const still = URL.createObjectURL(await frames.draw(drawn))
      if (seen === this.seen) seen.image.src = still
      URL.revokeObjectURL(seen === this.seen ? seen.still : still)
      seen.still = still
    }
    seen.drawing = false
  }

  /** Play again, and let go of what was read. */
  play() {
    const { image, address, frames, still } = this.seen ?? {}
    this.seen = this.number = null
    this.say()
    frames?.then((read) => read?.close())
    if (still && image.src === still) image.src = address
    URL.revokeObjectURL(still)
  }
}

/** Do something more where the page tells a node of an event. */
export function alsoOn(node, hook, act) {
  const before = node[hook]
  node[hook] = function (...given) {
    act()
    return before?.apply(this, given)
  }
}

/** Put the row on a node. */
export function addScrubber(node) {
  const scrubber = new Scrubber(node)
  const height = { getMinHeight: () => ROW, getMaxHeight: () => ROW }
  const widget = node.addDOMWidget('scrub', 'VLDM_SCRUB', scrubber.row, { serialize: false, margin: MARGIN, ...height })
  widget.serialize = false
  for (const hook of ['onExecuted', 'onRemoved']) alsoOn(node, hook, () => scrubber.play())
}
