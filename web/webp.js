/**
 * Single frames of an animated WebP, for pages that can only play one: its parts are read from the file, decoded by the
 * browser as stills, and laid over one another as the format says (Google, "WebP Container Specification").
 */

const HAS_ALPHA = 0x10 // a flag of the head of a file
const CLEARS_AFTER = 1, REPLACES = 2 // flags of a frame

const three = (bytes, at) => bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16)
const threeBytes = (number) => [number & 255, (number >> 8) & 255, number >> 16]
const fourBytes = (number) => [...threeBytes(number & 0xffffff), number >>> 24]
const letters = (text) => [...text].map((letter) => letter.charCodeAt(0))

/** Chunks that lie one after the other in some bytes: what they are called, all of them, and what they hold. */
function chunks(bytes) {
  const found = []
  for (let at = 0; at + 8 <= bytes.length; ) {
    const length = three(bytes, at + 4) + bytes[at + 7] * 2 ** 24
    const end = at + 8 + length
    found.push({
      name: String.fromCharCode(...bytes.subarray(at, at + 4)),
      whole: bytes.subarray(at, end + (length & 1)),
      held: bytes.subarray(at + 8, end)
    })
    at = end + (length & 1)
  }
  return found
}

/** A file with one part of a frame as a picture of its own. */
function still(parts, width, height) {
  const alpha = parts.some((part) => part.name !== 'VP8 ') ? HAS_ALPHA : 0
  const head = [...letters('VP8X'), ...fourBytes(10), alpha, 0, 0, 0, ...threeBytes(width - 1), ...threeBytes(height - 1)]
  const length = 4 + head.length + parts.reduce((sum, part) => sum + part.whole.length, 0)
  const start = [...letters('RIFF'), ...fourBytes(length), ...letters('WEBP'), ...head]
  return new Blob([new Uint8Array(start), ...parts.map((part) => part.whole)], { type: 'image/webp' })
}

async function patch(held) {
  const [x, y, width, height] = [2 * three(held, 0), 2 * three(held, 3), three(held, 6) + 1, three(held, 9) + 1]
  const parts = chunks(held.subarray(16)).filter((part) => ['ALPH', 'VP8 ', 'VP8L'].includes(part.name))
  return { x, y, width, height, flags: held[15], picture: await createImageBitmap(still(parts, width, height)) }
}

/** A decoded animation, whose frames can be drawn in any order. */
class Frames {
  constructor(width, height, patches) {
    Object.assign(this, { patches, count: patches.length })
    this.canvas = Object.assign(document.createElement('canvas'), { width, height })
  }

  /** A frame as a still picture: a Blob of a PNG. */
  draw(number) {
    const context = this.canvas.getContext('2d')
    context.clearRect(0, 0, this.canvas.width, this.canvas.height)
    for (const [index, { x, y, width, height, flags, picture }] of this.patches.slice(0, number + 1).entries()) {
      if (flags & REPLACES) context.clearRect(x, y, width, height)
      context.drawImage(picture, x, y)
      if (flags & CLEARS_AFTER && index < number) context.clearRect(x, y, width, height)
    }
    return new Promise((resolve) => this.canvas.toBlob(resolve))
  }

  close() {
    for (const { picture } of this.patches) picture.close()
  }
}

/** Frames of an animated WebP; null for any other file, which there is nothing to go through in. */
export async function framesOf(blob) {
  const bytes = new Uint8Array(await blob.arrayBuffer())
  const all = String.fromCharCode(...bytes.subarray(8, 12)) === 'WEBP' ? chunks(bytes.subarray(12)) : []
  const head = all.find((chunk) => chunk.name === 'VP8X')?.held
  const moving = all.filter((chunk) => chunk.name === 'ANMF')
  if (!head || moving.length < 2) return null
  return new Frames(three(head, 4) + 1, three(head, 7) + 1, await Promise.all(moving.map((chunk) => patch(chunk.held))))
}
