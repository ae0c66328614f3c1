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

    /// Adds an element and tells the listener, before any later block is cut.
    public func add(_ element: Element, metadata: Listener.Metadata) async throws {
        try await add(contentsOf: [element], metadata: metadata)
    }

    /// Adds elements to one block and tells the listener, before any later block is cut.
    public func add(contentsOf elements: [Element], metadata: Listener.Metadata) async throws {
        try await admit(elements.count)
        while true {
            switch buffer.appendTogether(elements) {
            case .added(_, let isFirst):
                // No suspension in between: a cut is a step of this actor.
                listener.onAddData(elements, metadata: metadata)
                if isFirst { noteFirst() }
                return
            case .full: try await makeRoom()
            case .inactive: throw ReceiverError.inactive()
            }
        }
    }

    /// Adds a piece that stays as it is, behind what was added before.
    ///
    /// - Throws: as ``add(_:)``.
    public nonisolated func add(
        piece: PartitionData, recordCount: Int, byteCount: Int
    ) async throws {
        try await admit(recordCount)
        while true {
            switch buffer.append(piece, records: recordCount, bytes: byteCount) {
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
        try await withTaskExecutorPreference(globalConcurrentExecutor) { try await cutForRoom() }
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

    /// Suspends until the rate limit allows so many elements.
    nonisolated func admit(_ count: Int) async throws {
        guard buffer.rateLimit != nil else { return }
        var (since, version) = (clock.monotonicNow, rateVersion.read { $0 })
        guard var (wait, limit) = buffer.admit(count, now: since) else { return }
        while true {
            // Until a time, not for a duration: the clock may have moved since it was read.
            try await sleep(untilMonotonic: since + wait, unlessRateChangesFrom: version)
            let now = clock.monotonicNow
            wait -= now - since
            guard wait > .zero else { return }
            since = now
            version = rateVersion.read { $0 }
            guard let newLimit = buffer.rateLimit else { return }
            // What is still owed is paid at the new rate.
            if newLimit != limit { wait = wait * (Double(limit) / Double(newLimit)) }
            limit = newLimit
        }
    }

    /// Waits until some of the elements from `start` may be added; returns the end of those.
    @usableFromInline
    nonisolated func admitSlice(of count: Int, from start: Int) async throws -> Int {
        guard let limit = buffer.rateLimit else { return count }
        // Tenths of a second, so that a large array does not pass in one piece.
        let slice = Int(clamping: max(1, limit / 10))
        let end = start + min(count - start, slice)
        try await admit(end - start)
        return end
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
