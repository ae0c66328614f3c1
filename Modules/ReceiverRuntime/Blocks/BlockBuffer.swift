public import BatchEngine
public import Synchronization

/// Where received elements meet: gathered under a lock, swapped out as a block, never copied.
///
/// ## Isolation
/// Every call is one short critical section. Elements are added from any task; only the block
/// generator takes blocks.
@usableFromInline
final class BlockBuffer<Element: Sendable>: Sendable {
    /// What came of an addition.
    @usableFromInline
    enum Addition: Sendable {
        /// Elements up to an index were added; whether the buffer was empty before.
        case added(through: Int, isFirst: Bool)
        /// A block must be cut first; nothing was added.
        case full
        /// The generator takes no data; nothing was added.
        case inactive
    }

    @usableFromInline
    struct Contents: Sendable {
        @usableFromInline var elements: [Element] = []
        @usableFromInline var pieces: [PartitionData] = []
        @usableFromInline var recordCount = 0
        @usableFromInline var byteCount = 0
        /// Of these, the bytes of `pieces`.
        private var pieceBytes = 0
        /// The estimate of the element added last.
        @usableFromInline var elementBytes = MemoryLayout<Element>.stride
        /// Whether single elements may be added without asking the rate limiter.
        @usableFromInline var isOpen = false
        @usableFromInline var isActive = false
        var limiter: RateLimiter

        init(limiter: RateLimiter) { self.limiter = limiter }

        /// Makes a piece of the elements at hand, so that a piece of another kind may follow.
        @usableFromInline
        mutating func sealElements() {
            guard !elements.isEmpty else { return }
            pieces.append(.values(Values(elements, byteCount: byteCount - pieceBytes)))
            elements = []
            pieceBytes = byteCount
        }

        /// Adds a piece behind what is there.
        mutating func append(_ piece: PartitionData, records: Int, bytes: Int) {
            sealElements()
            pieces.append(piece)
            recordCount += records
            byteCount += bytes
            pieceBytes = byteCount
        }

        /// Adds an array as it is.
        @usableFromInline
        mutating func append(array: [Element], bytes: Int) {
            append(
                .values(Values(array, byteCount: bytes)), records: array.count, bytes: bytes)
        }

        /// Takes all of it.
        mutating func take() -> (contents: [PartitionData], records: Int, bytes: Int) {
            sealElements()
            defer { (pieces, pieceBytes, recordCount, byteCount) = ([], 0, 0, 0) }
            return (pieces, recordCount, byteCount)
        }
    }

    @usableFromInline let size = ElementSize<Element>()
    @usableFromInline let maxRecords: Int
    @usableFromInline let maxBytes: Int
    @usableFromInline let contents: Locked<Contents>

    init(maxRecords: Int, maxBytes: Int, limiter: RateLimiter) {
        self.maxRecords = maxRecords
        self.maxBytes = maxBytes
        contents = Locked(Contents(limiter: limiter))
    }

    /// Adds an element if nothing stands against it.
    ///
    /// - Returns: Whether it was added, and whether the buffer was empty before.
    @inlinable
    func append(_ element: Element) -> (isAdded: Bool, isFirst: Bool) {
        contents.withLock { contents in
            guard contents.isOpen, contents.recordCount < maxRecords,
                contents.byteCount < maxBytes
            else { return (false, false) }
            contents.elements.append(element)
            contents.elementBytes = size.byteCount(
                of: element, index: contents.recordCount, last: contents.elementBytes)
            contents.byteCount &+= contents.elementBytes
            contents.recordCount &+= 1
            return (true, contents.recordCount == 1)
        }
    }

    /// Adds as many of the elements from `start` as there is room for, at least one.
    @inlinable
    func append(_ elements: [Element], from start: Int, to end: Int) -> Addition {
        contents.withLock { contents in
            guard contents.isActive else { return .inactive }
            guard contents.recordCount < maxRecords, contents.byteCount < maxBytes else {
                return .full
            }
            let isFirst = contents.recordCount == 0
            if end - start == elements.count, elements.count >= 1024,
                elements.count <= maxRecords - contents.recordCount
            {
                let bytes = size.byteCount(of: elements)
                if bytes <= maxBytes - contents.byteCount {
                    // Large arrays are taken as they are.
                    contents.append(array: elements, bytes: bytes)
                    return .added(through: end, isFirst: isFirst)
                }
            }
            var index = start
            let stop = min(end, start + (maxRecords - contents.recordCount))
            while index < stop, contents.byteCount < maxBytes {
                contents.elements.append(elements[index])
                contents.elementBytes = size.byteCount(
                    of: elements[index], index: contents.recordCount + index - start,
                    last: contents.elementBytes)
                contents.byteCount &+= contents.elementBytes
                index += 1
            }
            contents.recordCount += index - start
            return .added(through: index, isFirst: isFirst)
        }
    }

    /// Adds all elements to one block, which may grow over its bounds by them.
    func appendTogether(_ elements: [Element]) -> Addition {
        let bytes = size.byteCount(of: elements)
        return append(records: elements.count) { contents in
            contents.elements += elements
            contents.recordCount += elements.count
            contents.byteCount += bytes
        }
    }

    /// Adds a piece that stays as it is.
    func append(_ piece: PartitionData, records: Int, bytes: Int) -> Addition {
        append(records: records) { $0.append(piece, records: records, bytes: bytes) }
    }

    private func append(records: Int, _ add: (inout Contents) -> Void) -> Addition {
        contents.withLock { contents in
            guard contents.isActive else { return .inactive }
            guard contents.recordCount < maxRecords, contents.byteCount < maxBytes else {
                return .full
            }
            guard records > 0 else { return .added(through: 0, isFirst: false) }
            let isFirst = contents.recordCount == 0
            add(&contents)
            return .added(through: records, isFirst: isFirst)
        }
    }

    // MARK: Cutting

    /// Whether nothing was added since the last block.
    var isEmpty: Bool { contents.withLock { $0.recordCount == 0 } }

    /// Whether a block must be cut before more is added.
    var isFull: Bool {
        contents.withLock { $0.recordCount >= maxRecords || $0.byteCount >= maxBytes }
    }

    /// Takes what was gathered; nil when there is nothing.
    func take() -> (contents: [PartitionData], records: Int, bytes: Int)? {
        contents.withLock { contents in
            guard contents.recordCount > 0 else { return nil }
            // The next block will need about as much room.
            let capacity = min(contents.elements.count, maxRecords)
            let taken = contents.take()
            contents.elements.reserveCapacity(capacity)
            return taken
        }
    }

    /// Drops what was gathered.
    ///
    /// - Returns: How many elements that were.
    @discardableResult
    func discard() -> Int { take()?.records ?? 0 }

    // MARK: Life and rate

    /// Begins or ends to take data.
    func setActive(_ isActive: Bool) {
        contents.withLock { contents in
            contents.isActive = isActive
            contents.isOpen = isActive && !contents.limiter.isLimited
        }
    }

    /// The present limit in elements per second; nil: none.
    var rateLimit: Int64? {
        contents.withLock { $0.limiter.isLimited ? $0.limiter.currentLimit : nil }
    }

    /// Takes tokens for some of `count` elements; see `RateLimiter.take(upTo:atLeast:now:)`.
    ///
    /// - Parameter areTogether: whether they are cut only where a burst cannot hold them.
    func permit(
        upTo count: Int, areTogether: Bool, now: Duration
    ) -> RateLimiter.Permit {
        contents.withLock { contents in
            guard contents.limiter.isLimited else { return .granted(count) }
            let least = areTogether ? count : contents.limiter.slice
            return contents.limiter.take(upTo: count, atLeast: least, now: now)
        }
    }

    /// Changes the limit; the new one if it is another.
    func updateRate(_ rate: Double, now: Duration) -> Int64? {
        contents.withLock { contents in
            let old = contents.limiter.currentLimit
            contents.limiter.updateRate(estimated: rate, now: now)
            contents.isOpen = contents.isActive && !contents.limiter.isLimited
            return contents.limiter.currentLimit == old ? nil : contents.limiter.currentLimit
        }
    }

    /// Ends all limits for good.
    func liftRateLimit() {
        contents.withLock { contents in
            contents.limiter.lift()
            contents.isOpen = contents.isActive
        }
    }
}
