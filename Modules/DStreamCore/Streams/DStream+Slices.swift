public import BatchEngine
internal import Synchronization

extension DStream {
    /// The RDDs of the batches from one time to another, both included, oldest first.
    ///
    /// Times between two batches are rounded down; batches without RDD are skipped. What the stream
    /// does not remember any more is computed again from what its parents remember: call
    /// `remember(_:)` on the context for as long as you look back. Batches that have not come yet are
    /// made as if they came now; what an input such as a queue gives to them is used up.
    ///
    /// Can be called in the body of an output operation and from anywhere else while the context
    /// runs. It takes turns with the generation of batches: while it works, no batch is generated.
    ///
    /// ## Cancellation
    /// Ends between two batches.
    ///
    /// - Throws: ``StreamError`` `.notStarted` before the context is started, and for a stream that
    ///   no output depends on; `.alreadyStopped` after its stop; `.badDeclaration` for more than
    ///   about a million batches; what the operators throw.
    public func slice(
        from first: BatchTime, through last: BatchTime, file: String = #fileID,
        line: UInt = #line
    ) async throws -> [RDD<Element>] {
        let site = OperatorSite("slice", file: file, line: line)
        let pipe = pipe
        return try await graph.reading(at: site) { context in
            let input = pipe()
            try node.checkSlice(from: first, through: last, site)
            let plans = try await node.plans(from: first, through: last, context) {
                try Task.checkCancellation()
                // Making a plan need not wait for anything: others have their turn all the same.
                await Task.yield()
            }
            return plans.map { time, plan in
                var batch = context.batch
                batch.batchMilliseconds = time.milliseconds
                return RDD(context: batch, plan: plan, pipe: input)
            }
        }
    }

    /// The RDDs of the batches within `interval`, both ends included.
    ///
    /// - Throws: as ``slice(from:through:file:line:)``.
    public func slice(
        _ interval: Interval, file: String = #fileID, line: UInt = #line
    ) async throws -> [RDD<Element>] {
        try await slice(from: interval.begin, through: interval.end, file: file, line: line)
    }
}

/// Who makes batches now: one at a time, in the order of asking.
///
/// Generation and reading from outside both make what is not there yet, and a batch's input must be
/// taken once. Whoever has the turn can take it again from within.
final class GenerationTurn: Sendable {
    /// Tasks that are started in a turn know it, also when it has passed.
    private final class Turn: Sendable {}
    private struct State {
        var turn: Turn?
        var waiting: [(turn: Turn, continuation: CheckedContinuation<Void, Never>)] = []
    }

    @TaskLocal private static var held: Turn?
    private let state = Locked(State())

    /// Waits for the turn and runs `body`.
    func run<Result>(_ body: () async throws -> Result) async rethrows -> Result {
        if let held = Self.held, state.withLock({ $0.turn === held }) { return try await body() }
        let turn = Turn()
        await take(turn)
        defer { pass() }
        return try await Self.$held.withValue(turn) { try await body() }
    }

    /// Runs `body` if nobody has the turn.
    func runIfFree(_ body: () async throws -> Void) async rethrows {
        let turn = Turn()
        let isMine = state.withLock { state in
            guard state.turn == nil else { return false }
            state.turn = turn
            return true
        }
        guard isMine else { return }
        defer { pass() }
        try await Self.$held.withValue(turn) { try await body() }
    }

    private func take(_ turn: Turn) async {
        await withCheckedContinuation { continuation in
            let isFree = state.withLock { state in
                guard state.turn == nil else {
                    state.waiting.append((turn, continuation))
                    return false
                }
                state.turn = turn
                return true
            }
            if isFree { continuation.resume() }
        }
    }

    private func pass() {
        let next = state.withLock { state in
            let next = state.waiting.isEmpty ? nil : state.waiting.removeFirst()
            state.turn = next?.turn
            return next?.continuation
        }
        next?.resume()
    }
}

extension StreamNode {
    /// How many batches can be asked for at once: each takes memory, also when it is empty.
    static let sliceMaximum = 1 << 20

    /// Refuses more batches than can be made.
    func checkSlice(from first: BatchTime, through last: BatchTime, _ site: OperatorSite) throws {
        let start = max(first, settings.withLock { $0.zeroTime } ?? first)
        let count = (last - start).ratio(to: slideDuration)
        guard count >= Double(Self.sliceMaximum) else { return }
        throw StreamError(
            .badDeclaration,
            "about \(count) batches lie between \(start) and \(last); at most "
                + "\(Self.sliceMaximum) can be read at once", site: site)
    }

    /// Forgets the batches after `time`, which were made before their time.
    func forget(after time: BatchTime) {
        let forgotten: [Plan] = settings.withLock { settings in
            let plans = settings.plans.filter { $0.key > time }
            for key in plans.keys { settings.plans[key] = nil }
            for batches in [\Settings.failed, \.withoutRDD, \.passed] {
                settings[keyPath: batches] = settings[keyPath: batches].filter { $0 <= time }
            }
            return Array(plans.values)
        }
        // The end of a plan can be the end of datasets: not under the lock.
        withExtendedLifetime(forgotten) {}
    }
}
