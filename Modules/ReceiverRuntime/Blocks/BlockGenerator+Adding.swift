public import BatchEngine
internal import DStreamCore

extension BlockGenerator {
    /// Adds an element; nobody hears of it, it may be lost with its block.
    ///
    /// - Throws: ``ReceiverError/Code/notActive``, or `CancellationError` while waiting for
    ///   room; the element was not added.
    @inlinable
    public nonisolated func add(_ element: Element) async throws {
        let addition = buffer.append(element)
        if addition.isAdded {
            if addition.isFirst { noteFirst() }
            return
        }
        try await addSlowly([element])
    }

    /// Adds elements in order; they may end up in several blocks.
    ///
    /// - Throws: ``ReceiverError/Code/notActive``, or `CancellationError` while waiting for
    ///   room; some of the first elements may have been added.
    @inlinable
    public nonisolated func add(contentsOf elements: [Element]) async throws {
        var start = 0
        while start < elements.count {
            let end = try await admitSlice(of: elements.count, from: start)
            while start < end {
                switch buffer.append(elements, from: start, to: end) {
                case .added(let through, let isFirst):
                    start = through
                    if isFirst { noteFirst() }
                case .full: try await makeRoom()
                case .inactive: throw ReceiverError.inactive()
                }
            }
        }
    }

    /// Adds an element and notifies the listener, before any later block is cut.
    public func add(_ element: Element, metadata: Listener.Metadata) async throws {
        try await add(contentsOf: [element], metadata: metadata)
    }

    /// Adds elements to one block and notifies the listener, before any later block is cut.
    ///
    /// More than the rate limit lets pass at once are cut into pieces, which may end up in several
    /// blocks; the listener is notified of all of them with the last.
    public func add(contentsOf elements: [Element], metadata: Listener.Metadata) async throws {
        var start = 0
        repeat {
            let end = try await admit(upTo: elements.count - start, areTogether: true) + start
            let isLast = end == elements.count
            try await addTogether(
                start == 0 && isLast ? elements : Array(elements[start..<end]),
                thenNotifying: isLast ? (elements, metadata) : nil)
            start = end
        } while start < elements.count
    }

    private func addTogether(
        _ piece: [Element], thenNotifying notice: (elements: [Element], Listener.Metadata)?
    ) async throws {
        while true {
            switch buffer.appendTogether(piece) {
            case .added(_, let isFirst):
                // No suspension in between: a cut is a step of this actor.
                if let notice { listener.onAddData(notice.elements, metadata: notice.1) }
                if isFirst { noteFirst() }
                return
            case .full: try await makeRoom()
            case .inactive: throw ReceiverError.inactive()
            }
        }
    }

    /// Adds lines as the bytes they are, behind what was added before.
    ///
    /// They stay in one piece, unless the rate limit lets fewer pass at once.
    ///
    /// - Throws: as ``add(contentsOf:)``.
    public nonisolated func add(lines: LineBlock) async throws where Element == String {
        var (start, offset) = (0, 0)
        while start < lines.count {
            let end = try await admitSlice(of: lines.count, from: start)
            try await add(lines.lines(end - start, from: &offset))
            start = end
        }
    }

    private nonisolated func add(_ piece: LineBlock) async throws where Element == String {
        while true {
            switch buffer.append(.lines(piece), records: piece.count, bytes: piece.byteCount) {
            case .added(_, let isFirst):
                if isFirst { noteFirst() }
                return
            case .full: try await makeRoom()
            case .inactive: throw ReceiverError.inactive()
            }
        }
    }

    @usableFromInline
    nonisolated func addSlowly(_ elements: [Element]) async throws {
        try await add(contentsOf: elements)
    }

    /// Says when the block is due whose first element was just added.
    @usableFromInline
    nonisolated func noteFirst() {
        let time = alignment.firstTime(after: clock.now)
        due.update { $0 = $0 ?? time }
    }

    /// Cuts the full block, suspending while the queue has no room for it.
    @usableFromInline
    nonisolated func makeRoom() async throws {
        guard cutsOnPool else { return try await cutForRoom() }
        try await PoolThreads.run { try await cutForRoom() }
    }

    private func cutForRoom() async throws {
        while phase == .active, buffer.isFull, !cut() {
            try await queue.wait(for: { $0.hasRoom || $0.isClosed })
        }
    }

    // MARK: The rate

    /// The present limit in elements per second; nil: none.
    public nonisolated var rateLimit: Int64? { buffer.rateLimit }

    /// Changes the rate limit, within the configured highest.
    ///
    /// - Returns: the new limit; nil if it is the old one.
    @discardableResult
    public nonisolated func updateRate(_ elementsPerSecond: Double) -> Int64? {
        let limit = buffer.updateRate(elementsPerSecond, now: clock.monotonicNow)
        if limit != nil { rateVersion.update { $0 += 1 } }
        return limit
    }

    /// Lets everything pass from now on: what a receiver holds when it ends is kept.
    nonisolated func liftRateLimit() {
        buffer.liftRateLimit()
        rateTurns.open()
        rateVersion.update { $0 += 1 }
    }

    /// Suspends until the rate limit lets some of `count` elements pass, in the order of asking.
    ///
    /// - Parameter areTogether: whether they are cut only where a burst cannot hold them.
    /// - Returns: how many pass, at least one of them.
    /// - Throws: `CancellationError`; none passes.
    nonisolated func admit(upTo count: Int, areTogether: Bool) async throws -> Int {
        if rateTurns.isFree,
            case .granted(let granted) = buffer.permit(
                upTo: count, areTogether: areTogether, now: clock.monotonicNow)
        {
            return granted
        }
        try await rateTurns.take()
        defer { rateTurns.pass() }
        while true {
            let (now, version) = (clock.monotonicNow, rateVersion.read { $0 })
            switch buffer.permit(upTo: count, areTogether: areTogether, now: now) {
            case .granted(let granted): return granted
            case .wait(let delay):
                do {
                    // Until a time, not for a duration: the clock may have moved since it was read.
                    try await sleep(untilMonotonic: now + delay, unlessRateChangesFrom: version)
                } catch {
                    // A receiver that is stopped keeps what it holds.
                    if buffer.rateLimit != nil { throw error }
                }
            }
        }
    }

    /// Waits until some of the elements from `start` may be added; returns the end of those.
    @usableFromInline
    nonisolated func admitSlice(of count: Int, from start: Int) async throws -> Int {
        guard buffer.rateLimit != nil else { return count }
        return try await admit(upTo: count - start, areTogether: false) + start
    }

    private nonisolated func sleep(
        untilMonotonic deadline: Duration, unlessRateChangesFrom version: Int
    ) async throws {
        let (clock, rateVersion) = (clock, rateVersion)
        try await firstOf {
            try await clock.sleep(untilMonotonic: deadline)
        } or: {
            try await rateVersion.wait(for: { $0 != version })
        }
    }
}

extension ReceiverError {
    @usableFromInline
    static func inactive() -> ReceiverError { .notActive }
}
