const [minBytes, maxBytes] = [1 << 14, 1 << 18]
const noBytes = Buffer.alloc(0)
const noView = new DataView(noBytes.buffer)

/**
 * Bytes in network order, cut into chunks that are the receiver's to keep: of 16 KB, and each twice the one before, up
 * to 256 KB.
 */
export class CopyBuffer {
  #bytes: Buffer = noBytes
  #view: DataView = noView
  #at = 0
  #full: Buffer[] = []

  /** The chunks that are full, taken away. */
  takeFull(): Buffer[] {
    const full = this.#full
    if (full.length > 0) this.#full = []
    return full
  }

  /** All that is left, taken away. */
  takeRest(): Buffer[] {
    this.#cut()
    ;[this.#bytes, this.#view] = [noBytes, noView]
    return this.takeFull()
  }

  int16(value: number): void {
    this.#need(2)
    this.#view.setInt16(this.#at, value)
    this.#at += 2
  }

  int32(value: number): void {
    this.#need(4)
    this.#view.setInt32(this.#at, value)
    this.#at += 4
  }

  int64(value: number | bigint): void {
    this.#need(8)
    if (typeof value === 'bigint') {
      this.#view.setBigInt64(this.#at, value)
    } else {
      const high = Math.floor(value / 4_294_967_296)
      this.#view.setInt32(this.#at, high)
      this.#view.setUint32(this.#at + 4, value - high * 4_294_967_296)
    }
    this.#at += 8
  }

  float32(value: number): void {
    this.#need(4)
    this.#view.setFloat32(this.#at, value)
    this.#at += 4
  }

  float64(value: number): void {
    this.#need(8)
    this.#view.setFloat64(this.#at, value)
    this.#at += 8
  }

  byte(value: number): void {
    this.#need(1)
    this.#bytes[this.#at++] = value
  }

  raw(bytes: Uint8Array): void {
    this.#need(bytes.length)
    this.#bytes.set(bytes, this.#at)
    this.#at += bytes.length
  }

  /** Length in bytes as int32, then UTF-8. Short ASCII text, which most is, goes byte by byte. */
  text(value: string): void {
    const { length } = value
    if (length <= 32) {
      this.#need(4 + length)
      const start = this.#at + 4
      let i = 0
      for (; i < length; i++) {
        const code = value.charCodeAt(i)
        if (code > 0x7f) break
        this.#bytes[start + i] = code
      }
      if (i === length) {
        this.#view.setInt32(this.#at, length)
        this.#at = start + length
        return
      }
    }
    const size = Buffer.byteLength(value)
    this.int32(size)
    this.#need(size)
    this.#bytes.write(value, this.#at, size, 'utf8')
    this.#at += size
  }

  #need(size: number): void {
    if (this.#at + size > this.#bytes.length) this.#grow(size)
  }

  #grow(size: number): void {
    this.#cut()
    this.#bytes = Buffer.allocUnsafeSlow(Math.max(size, minBytes, Math.min(this.#bytes.length * 2, maxBytes)))
    this.#view = new DataView(this.#bytes.buffer)
  }

  #cut(): void {
    if (this.#at > 0) this.#full.push(this.#bytes.subarray(0, this.#at))
    this.#at = 0
  }
}
