/// Elements in chunks of equal size, so that adding one never moves the others.
///
/// It frees memory but neither initialises nor destroys elements: that is its owner's part.
@usableFromInline
struct ChunkedStorage<Element> {
    @usableFromInline typealias Chunk = UnsafeMutablePointer<Element>

    @usableFromInline var chunks: UnsafeMutablePointer<Chunk>
    @usableFromInline var chunkCount = 0
    @usableFromInline var room = 16

    @usableFromInline static var shift: Int { 8 }

    @inlinable
    init() { chunks = .allocate(capacity: 16) }

    /// Where an element is, or will be.
    @inlinable @inline(__always)
    subscript(number: Int) -> Chunk {
        chunks[number &>> Self.shift] + (number & ((1 &<< Self.shift) &- 1))
    }

    /// Makes sure that there is a place for the element after `count` others.
    @inlinable @inline(__always)
    mutating func makeRoom(after count: Int) {
        if count == chunkCount &<< Self.shift { addChunk() }
    }

    @inlinable @inline(never)
    mutating func addChunk() {
        if chunkCount == room {
            let wider = UnsafeMutablePointer<Chunk>.allocate(capacity: room * 2)
            wider.update(from: chunks, count: chunkCount)
            chunks.deallocate()
            chunks = wider
            room *= 2
        }
        (chunks + chunkCount).initialize(to: .allocate(capacity: 1 << Self.shift))
        chunkCount += 1
    }

    /// Frees chunks that `count` elements do not need, but for one to spare.
    @inlinable @inline(__always)
    mutating func trim(to count: Int) {
        while chunkCount &<< Self.shift >= count &+ 2 &<< Self.shift { removeChunk() }
    }

    @inlinable @inline(never)
    mutating func removeChunk() {
        chunkCount -= 1
        chunks[chunkCount].deallocate()
    }

    /// Frees everything.
    @inlinable
    func deallocate() {
        for number in 0..<chunkCount { chunks[number].deallocate() }
        chunks.deallocate()
    }
}
